/*
 * The stand-in nvidia-ctk: CDI specifications that put the stand-in into a container. A container
 * gets the same files as the host, read-only, and a variable for each GPU that it may see.
 * The specification is written as JSON in one line, which is YAML too (tabs would not be).
 */
#include "state.h"

#include <dlfcn.h>
#include <glob.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define KIND "nvidia.com/gpu"
#define LIBRARIES "/usr/lib/x86_64-linux-gnu/"

/* Whole folders for the two files, so that a container sees a file that is replaced. */
static const char *const MOUNTS[] = {
    "/usr/bin/nvidia-smi",
    LIBRARIES "libnvidia-ml.so.1",
    LIBRARIES "libcjson.so.1",
    "/etc/nvidia-standin",
    "/run/nvidia-standin",
};
static const char *const MOUNT_OPTIONS[] = {"ro", "nosuid", "nodev", "rbind", "rprivate"};

static void add_device(cJSON *devices, const char *name, int index, const char *uuid)
{
    cJSON *device = cJSON_CreateObject();
    cJSON *edits;
    char variable[256];

    snprintf(variable, sizeof variable, "NVIDIA_STANDIN_GPU_%d=%s", index, uuid);
    cJSON_AddStringToObject(device, "name", name);
    edits = cJSON_AddObjectToObject(device, "containerEdits");
    cJSON_AddItemToArray(cJSON_AddArrayToObject(edits, "env"), cJSON_CreateString(variable));
    cJSON_AddItemToArray(devices, device);
}

static void add_devices(cJSON *specification, const struct state *state)
{
    cJSON *devices = cJSON_AddArrayToObject(specification, "devices");

    for (int i = 0; i < gpu_count(state); i++) {
        const char *uuid = gpu_text(gpu_at(state, i), "uuid");
        char name[16];

        snprintf(name, sizeof name, "%d", i);
        add_device(devices, name, i, uuid);
        add_device(devices, uuid, i, uuid);
    }
    add_device(devices, "all", 0, "all");
}

static void add_mounts(cJSON *edits)
{
    cJSON *mounts = cJSON_AddArrayToObject(edits, "mounts");

    for (size_t i = 0; i < sizeof MOUNTS / sizeof *MOUNTS; i++) {
        cJSON *mount = cJSON_CreateObject();
        const int count = sizeof MOUNT_OPTIONS / sizeof *MOUNT_OPTIONS;

        cJSON_AddStringToObject(mount, "hostPath", MOUNTS[i]);
        cJSON_AddStringToObject(mount, "containerPath", MOUNTS[i]);
        cJSON_AddItemToObject(mount, "options",
                              cJSON_CreateStringArray((const char **)MOUNT_OPTIONS, count));
        cJSON_AddItemToArray(mounts, mount);
    }
}

/* Asks the installed library, as the real tool does: only that knows whether the driver fits. */
static bool driver_answers(void)
{
    void *library = dlopen("libnvidia-ml.so.1", RTLD_NOW);
    enum result (*init)(void);
    const char *(*text)(enum result);
    enum result result = RESULT_UNKNOWN;

    if (library) {
        *(void **)&init = dlsym(library, "nvmlInit_v2");
        *(void **)&text = dlsym(library, "nvmlErrorString");
        result = init ? init() : RESULT_UNKNOWN;
    }
    if (result != RESULT_OK)
        fprintf(stderr,
                "level=error msg=\"failed to generate CDI spec: failed to initialize NVML: %s\"\n",
                library && text ? text(result) : "ERROR_LIBRARY_NOT_FOUND");
    return result == RESULT_OK;
}

static int generate(const char *output)
{
    struct state state;
    cJSON *specification, *edits;
    char *text;
    bool written;

    if (!driver_answers() || !state_read(&state))
        return EXIT_FAILURE;
    specification = cJSON_CreateObject();
    cJSON_AddStringToObject(specification, "cdiVersion", "0.5.0");
    cJSON_AddStringToObject(specification, "kind", KIND);
    add_devices(specification, &state);
    edits = cJSON_AddObjectToObject(specification, "containerEdits");
    cJSON_AddItemToArray(cJSON_AddArrayToObject(edits, "env"),
                         cJSON_CreateString("NVIDIA_VISIBLE_DEVICES=void"));
    add_mounts(edits);
    text = cJSON_PrintUnformatted(specification);
    written = output ? replace_file(output, text) : puts(text) >= 0;
    cJSON_free(text);
    cJSON_Delete(specification);
    state_free(&state);
    return written ? EXIT_SUCCESS : EXIT_FAILURE;
}

/* Prints the devices of one specification and returns how many; others' YAML is passed over. */
static int list_file(const char *path)
{
    char text[1 << 16];
    FILE *stream = fopen(path, "r");
    cJSON *specification;
    const cJSON *device;
    int count = 0;

    if (!stream)
        return 0;
    text[fread(text, 1, sizeof text - 1, stream)] = '\0';
    fclose(stream);
    specification = cJSON_Parse(text);
    cJSON_ArrayForEach(device, cJSON_GetObjectItemCaseSensitive(specification, "devices"))
    {
        printf("%s=%s\n", gpu_text(specification, "kind"), gpu_text(device, "name"));
        count++;
    }
    cJSON_Delete(specification);
    return count;
}

static int list(void)
{
    static const char *const PATTERNS[] = {"/etc/cdi/*.yaml", "/var/run/cdi/*.yaml"};
    int count = 0;

    for (size_t i = 0; i < 2; i++) {
        char pattern[PATH_MAX];
        glob_t found;

        if (glob(state_path(PATTERNS[i], pattern), 0, NULL, &found))
            continue;
        for (size_t f = 0; f < found.gl_pathc; f++)
            count += list_file(found.gl_pathv[f]);
        globfree(&found);
    }
    fprintf(stderr, "level=info msg=\"Found %d CDI devices\"\n", count);
    return EXIT_SUCCESS;
}

/* The value of `--output FILE` or `--output=FILE`; NULL for standard output. */
static const char *output_option(char **arguments)
{
    for (; *arguments; arguments++) {
        if (!strncmp(*arguments, "--output=", strlen("--output=")))
            return *arguments + strlen("--output=");
        if (!strcmp(*arguments, "--output"))
            return arguments[1];
    }
    return getenv("NVIDIA_CTK_CDI_OUTPUT_FILE_PATH");
}

int main(int count, char **arguments)
{
    arguments++;
    if (count > 1 && (!strcmp(*arguments, "--quiet") || !strcmp(*arguments, "--debug")))
        arguments++;
    if (*arguments && (!strcmp(*arguments, "--version") || !strcmp(*arguments, "-v"))) {
        puts("NVIDIA Container Toolkit CLI version " STANDIN_VERSION "\ncommit: " STANDIN_NOTE);
        return EXIT_SUCCESS;
    }
    if (*arguments && !strcmp(*arguments, "cdi") && arguments[1]) {
        if (!strcmp(arguments[1], "generate"))
            return generate(output_option(arguments + 2));
        if (!strcmp(arguments[1], "list"))
            return list();
    }
    fputs("level=error msg=\"the stand-in has: --version, cdi generate [--output=FILE], "
          "cdi list\"\n",
          stderr);
    return EXIT_FAILURE;
}
