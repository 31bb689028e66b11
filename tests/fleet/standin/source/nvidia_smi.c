/*
 * The stand-in nvidia-smi: the options that loadfleet and its roles use, with the real tool's words
 * and return codes (compared with nvidia-smi 580.159.04 on a data-centre GPU).
 */
#include "smi.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define NOT_AN_OPTION 255 /* the real tool's return code where it cannot read its command line */

typedef enum result setter(const struct selection *selected, const char *value);

/* An option has a value or none; a setter has both a value (but -rgc) and what to do with it. */
struct option {
    const char *name, *long_name;
    bool takes_value;
    setter *set;
    const char *value; /* as given; "" for an option without one, NULL where it is absent */
};

enum { LIST, QUERY, QUERY_GPU, QUERY_APPS, FORMAT, ID, VERSION, HELP, FIRST_SETTER };

static struct option options[] = {
    [LIST] = {.name = "-L", .long_name = "--list-gpus"},
    [QUERY] = {.name = "-q", .long_name = "--query"},
    [QUERY_GPU] = {.long_name = "--query-gpu", .takes_value = true},
    [QUERY_APPS] = {.long_name = "--query-compute-apps", .takes_value = true},
    [FORMAT] = {.long_name = "--format", .takes_value = true},
    [ID] = {.name = "-i", .long_name = "--id", .takes_value = true},
    [VERSION] = {.long_name = "--version"},
    [HELP] = {.name = "-h", .long_name = "--help"},
    {.name = "-pm", .long_name = "--persistence-mode", true, set_persistence_mode},
    {.name = "-pl", .long_name = "--power-limit", true, set_power_limit},
    {.name = "-mig", .long_name = "--multi-instance-gpu", true, set_mig_mode},
    {.name = "-e", .long_name = "--ecc-config", true, set_ecc_mode},
    {.name = "-lgc", .long_name = "--lock-gpu-clocks", true, lock_clocks},
    {.name = "-rgc", .long_name = "--reset-gpu-clocks", false, reset_clocks},
};
#define OPTIONS (sizeof options / sizeof *options)

static bool is(const char *name, const char *argument, size_t length)
{
    return name && strlen(name) == length && !strncmp(name, argument, length);
}

/* Reads `-x VALUE`, `--long VALUE` and `--long=VALUE`. */
static int parse(char **arguments)
{
    for (; *arguments; arguments++) {
        const size_t length = strcspn(*arguments, "=");
        struct option *option = options;

        while (option < options + OPTIONS && !is(option->name, *arguments, length) &&
               !is(option->long_name, *arguments, length))
            option++;
        if (option == options + OPTIONS) {
            printf("ERROR: Option %s is not recognized. Please run 'nvidia-smi -h'.\n", *arguments);
            return NOT_AN_OPTION;
        }
        option->value = "";
        if (!option->takes_value)
            continue;
        option->value = (*arguments)[length] ? *arguments + length + 1 : *++arguments;
        if (!option->value) {
            printf("ERROR: Option %s is missing its value. Please run 'nvidia-smi -h' for help.\n",
                   arguments[-1]);
            return NOT_AN_OPTION;
        }
    }
    return RESULT_OK;
}

static void print_help(void)
{
    puts("NVIDIA System Management Interface -- v" STANDIN_VERSION "\n" STANDIN_NOTE "\n");
    for (const struct option *option = options; option < options + OPTIONS; option++)
        printf("    %-5s %s%s\n", option->name ? option->name : "", option->long_name,
               option->takes_value ? "=" : "");
}

/* NVML's version as the tool writes it: 580.105 of 580.105.08. */
static int nvml_version_length(void)
{
    return (int)(strrchr(STANDIN_VERSION, '.') - STANDIN_VERSION);
}

static void print_version(const struct state *state)
{
    printf("NVIDIA-SMI version  : %s\n", STANDIN_VERSION);
    printf("NVML version        : %.*s\n", nvml_version_length(), STANDIN_VERSION);
    printf("DRIVER version      : %s\n", state->driver_version);
    printf("CUDA Version        : %s\n", state->cuda_version);
    puts("Note                : " STANDIN_NOTE);
}

static enum result check_driver(const struct state *state)
{
    if (state->driver == RESULT_DRIVER_NOT_LOADED)
        puts("NVIDIA-SMI has failed because it couldn't communicate with the NVIDIA driver. Make "
             "sure that the latest NVIDIA driver is installed and running.\n");
    if (state->driver == RESULT_VERSION_MISMATCH)
        printf("Failed to initialize NVML: Driver/library version mismatch\n"
               "NVML library version: %.*s\n",
               nvml_version_length(), STANDIN_VERSION);
    return state->driver;
}

/* Whether -i names the GPU: by index, UUID or PCI bus id, several with commas between. */
static bool wanted(const cJSON *gpu, int index)
{
    char number[16], ids[1024];

    if (!options[ID].value)
        return true;
    snprintf(number, sizeof number, "%d", index);
    snprintf(ids, sizeof ids, "%s", options[ID].value);
    for (const char *id = strtok(ids, ","); id; id = strtok(NULL, ",")) {
        if (!strcmp(id, number) || !strcmp(id, gpu_text(gpu, "uuid")) ||
            !strcmp(id, gpu_text(gpu, "pci.bus_id")))
            return true;
    }
    return false;
}

static void select_gpus(struct selection *selected, struct state *state)
{
    const int count = gpu_count(state);

    *selected = (struct selection){.state = state};
    for (int i = 0; i < count && selected->count < MAX_GPUS; i++) {
        cJSON *gpu = gpu_at(state, i);

        if (wanted(gpu, i))
            selected->gpus[selected->count++] = gpu;
    }
}

static enum result set(const struct selection *selected)
{
    enum result result = RESULT_OK;

    for (size_t i = FIRST_SETTER; i < OPTIONS && result == RESULT_OK; i++) {
        if (options[i].value)
            result = options[i].set(selected, options[i].value);
    }
    return result;
}

static bool setting(void)
{
    for (size_t i = FIRST_SETTER; i < OPTIONS; i++) {
        if (options[i].value)
            return true;
    }
    return false;
}

static enum result run(struct state *state)
{
    const char *format = options[FORMAT].value ? options[FORMAT].value : "csv";
    struct selection selected;

    if (options[VERSION].value) {
        print_version(state);
        return RESULT_OK;
    }
    select_gpus(&selected, state);
    if (!selected.count) {
        puts(options[LIST].value ? "No devices found." : "No devices were found");
        return RESULT_NOT_FOUND;
    }
    if (options[QUERY_GPU].value)
        return query_gpus(&selected, options[QUERY_GPU].value, format);
    if (options[QUERY_APPS].value)
        return query_processes(&selected, options[QUERY_APPS].value, format);
    if (setting())
        return set(&selected);
    if (options[LIST].value)
        show_list(&selected);
    else if (options[QUERY].value)
        show_details(&selected);
    else
        show_summary(&selected);
    return RESULT_OK;
}

int main(int count, char **arguments)
{
    struct state state;
    int result = parse(arguments + 1);

    (void)count;
    if (result != RESULT_OK)
        return result;
    if (options[HELP].value) {
        print_help();
        return RESULT_OK;
    }
    if (options[LIST].value && options[ID].value) {
        puts("ERROR: Option -i is not valid for this command. Please run 'nvidia-smi -h' for "
             "help.");
        return RESULT_INVALID;
    }
    if (!(setting() ? state_read_to_write(&state) : state_read(&state)))
        return NOT_AN_OPTION;
    result = check_driver(&state);
    if (result == RESULT_OK)
        result = run(&state);
    state_free(&state);
    return result;
}
