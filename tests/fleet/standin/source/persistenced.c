/* The stand-in nvidia-persistenced: persistence mode is on while it runs, unless told otherwise. */
#include "state.h"

#include <getopt.h>
#include <limits.h>
#include <pwd.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/types.h>
#include <unistd.h>

#define PID_FILE "/run/nvidia-persistenced/nvidia-persistenced.pid"

static const struct option OPTIONS[] = {
    {"user", required_argument, NULL, 'u'},    {"verbose", no_argument, NULL, 'V'},
    {"persistence-mode", no_argument, NULL, 'P'}, {"no-persistence-mode", no_argument, NULL, 'N'},
    {"version", no_argument, NULL, 'v'},       {NULL, 0, NULL, 0},
};

/* False, with a message, where no driver answers: the real daemon finds no device files then. */
static bool set_mode(bool on)
{
    struct state state;
    bool written;

    if (!state_read_to_write(&state))
        return false;
    if (state.driver != RESULT_OK || !gpu_count(&state)) {
        fputs("Failed to query NVIDIA devices. Please ensure that the NVIDIA device files "
              "(/dev/nvidia*) exist, and that user 0 has read and write permissions for those "
              "files.\n",
              stderr);
        state_free(&state);
        return false;
    }
    for (int i = 0; i < gpu_count(&state); i++)
        gpu_set_until_load(gpu_at(&state, i), "persistence_mode",
                           cJSON_CreateString(on ? "Enabled" : "Disabled"));
    written = state_write(&state);
    state_free(&state);
    return written;
}

/* In the child: drops to the user until a signal comes, as the real daemon does for good. */
static int serve(const struct passwd *user, const sigset_t *signals)
{
    int received;

    /* Whoever reads the output of the command must come to its end. */
    if (setsid() < 0 || !freopen("/dev/null", "w", stdout) || !freopen("/dev/null", "w", stderr))
        return EXIT_FAILURE;
    if (user && (setegid(user->pw_gid) || seteuid(user->pw_uid))) {
        perror(user->pw_name);
        return EXIT_FAILURE;
    }
    sigwait(signals, &received);
    /* A kernel's device needs no permission to be let go; this document does. */
    if (user && (seteuid(0) || setegid(0)))
        return EXIT_FAILURE;
    return set_mode(false) ? EXIT_SUCCESS : EXIT_FAILURE;
}

int main(int count, char **arguments)
{
    const struct passwd *user = NULL;
    bool on = true;
    char path[PATH_MAX], text[32];
    sigset_t signals;
    pid_t child;

    for (int option; (option = getopt_long(count, arguments, "u:Vv", OPTIONS, NULL)) != -1;) {
        if (option == 'u' && !(user = getpwnam(optarg))) {
            fprintf(stderr, "Failed to find user ID of user '%s'\n", optarg);
            return EXIT_FAILURE;
        }
        if (option == 'P' || option == 'N')
            on = option == 'P';
        if (option == 'v')
            return puts("nvidia-persistenced:  version " STANDIN_VERSION " (" STANDIN_NOTE ")") < 0;
        if (option == '?')
            return EXIT_FAILURE;
    }
    if (!set_mode(on))
        return EXIT_FAILURE;
    sigemptyset(&signals);
    sigaddset(&signals, SIGTERM);
    sigaddset(&signals, SIGINT);
    sigprocmask(SIG_BLOCK, &signals, NULL);
    child = fork();
    if (child < 0) {
        perror("fork");
        return EXIT_FAILURE;
    }
    if (child == 0)
        return serve(user, &signals);
    snprintf(text, sizeof text, "%ld\n", (long)child);
    return replace_file(state_path(PID_FILE, path), text) ? EXIT_SUCCESS : EXIT_FAILURE;
}
