/*
 * Settings, with the real tool's words and return codes. As with a real GPU, MIG and ECC modes
 * change what is pending and outlast a reboot; all else lasts until the driver is loaded anew.
 */
#include "smi.h"

#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

static const char *bus_id(const cJSON *gpu)
{
    return gpu_text(gpu, "pci.bus_id");
}

/* A container has the document read-only. */
static bool may_set(void)
{
    char path[PATH_MAX];

    return geteuid() == 0 && access(state_path(STANDIN_GPUS, path), W_OK) == 0;
}

static enum result invalid(const char *value, const char *option)
{
    printf("ERROR: Option %s is invalid for %s. Please run 'nvidia-smi -h' for help.\n", value,
           option);
    return RESULT_INVALID;
}

static enum result refused(enum result result)
{
    puts("Terminating early due to previous errors.");
    return result;
}

/* Saves what was set. */
static enum result done(const struct selection *selected, bool changed)
{
    if (changed && !state_write(selected->state))
        return refused(RESULT_NO_PERMISSION);
    puts("All done.");
    return RESULT_OK;
}

static void warn_without_persistence(const struct selection *selected)
{
    for (int i = 0; i < selected->count; i++) {
        if (gpu_enabled(selected->gpus[i], "persistence_mode"))
            continue;
        printf("\nWarning: persistence mode is disabled on device %s. See the Known Issues section "
               "of the nvidia-smi(1) man page for more information. Run with [--help | -h] switch "
               "to get more information on how to enable persistence mode.\n",
               bus_id(selected->gpus[i]));
    }
}

/* 1 and 0 for on and off, -1 for anything else. */
static int parse_switch(const char *value)
{
    if (!strcmp(value, "1") || !strcmp(value, "ENABLED"))
        return 1;
    if (!strcmp(value, "0") || !strcmp(value, "DISABLED"))
        return 0;
    return -1;
}

static cJSON *mode(int on)
{
    return cJSON_CreateString(on ? "Enabled" : "Disabled");
}

enum result set_power_limit(const struct selection *selected, const char *value)
{
    char *end;
    double watts = strtod(value, &end), least = 0, most = 0, before = 0;

    if (end == value || *end)
        return invalid(value, "-pl");
    for (int i = 0; i < selected->count; i++) {
        cJSON *gpu = selected->gpus[i];

        if (!gpu_number(gpu, "power.min_limit", &least) ||
            !gpu_number(gpu, "power.max_limit", &most)) {
            printf("Changing power management limit is not supported for GPU: %s.\n", bus_id(gpu));
            return refused(RESULT_NOT_SUPPORTED);
        }
        if (watts < least || watts > most) {
            printf("Provided power limit %.2f W is not a valid power limit which should be between "
                   "%.2f W and %.2f W for GPU %s\n",
                   watts, least, most, bus_id(gpu));
            return refused(RESULT_INVALID);
        }
        if (!may_set()) {
            printf("Failed to set power management limit for GPU %s: Insufficient Permissions\n",
                   bus_id(gpu));
            return refused(RESULT_NO_PERMISSION);
        }
        gpu_number(gpu, "power.limit", &before);
        gpu_set_until_load(gpu, "power.limit", cJSON_CreateNumber(watts));
        gpu_set_until_load(gpu, "enforced.power.limit", cJSON_CreateNumber(watts));
        printf("Power limit for GPU %s was set to %.2f W from %.2f W.\n", bus_id(gpu), watts,
               before);
    }
    warn_without_persistence(selected);
    return done(selected, true);
}

enum result set_persistence_mode(const struct selection *selected, const char *value)
{
    const int on = parse_switch(value);
    bool changed = false;

    if (on < 0)
        return invalid(value, "-pm");
    for (int i = 0; i < selected->count; i++) {
        cJSON *gpu = selected->gpus[i];

        if (gpu_enabled(gpu, "persistence_mode") == on) {
            printf("Persistence mode is already %s for GPU %s.\n", on ? "Enabled" : "Disabled",
                   bus_id(gpu));
            continue;
        }
        if (!may_set()) {
            printf("Unable to set persistence mode for GPU %s: Insufficient Permissions\n",
                   bus_id(gpu));
            return refused(RESULT_NO_PERMISSION);
        }
        gpu_set_until_load(gpu, "persistence_mode", mode(on));
        printf("%s persistence mode for GPU %s.\n", on ? "Enabled" : "Disabled", bus_id(gpu));
        changed = true;
    }
    return done(selected, changed);
}

/* A real A30 also waits for a reboot where anything, such as a monitor, holds the GPU. */
enum result set_mig_mode(const struct selection *selected, const char *value)
{
    const int on = parse_switch(value);

    if (on < 0)
        return invalid(value, "-mig");
    for (int i = 0; i < selected->count; i++) {
        cJSON *gpu = selected->gpus[i];

        if (!may_set()) {
            printf("Unable to %s MIG Mode for GPU %s: Insufficient Permissions\n",
                   on ? "enable" : "disable", bus_id(gpu));
            return refused(RESULT_NO_PERMISSION);
        }
        gpu_set(gpu, "mig.mode.pending", mode(on));
        if (gpu_enabled(gpu, "mig.mode.current") == on)
            printf("%s MIG Mode for GPU %s\n", on ? "Enabled" : "Disabled", bus_id(gpu));
        else
            printf("Warning: MIG mode is in pending %s state for GPU %s:In use by another client\n"
                   "%s is currently being used by one or more other processes (e.g. CUDA "
                   "application or a monitoring application such as another instance of "
                   "nvidia-smi). Please first kill all processes using the device and retry the "
                   "command or reboot the system to make MIG mode effective.\n",
                   on ? "enable" : "disable", bus_id(gpu), bus_id(gpu));
    }
    return done(selected, true);
}

enum result set_ecc_mode(const struct selection *selected, const char *value)
{
    const int on = parse_switch(value);
    bool changed = false;
    enum result result;

    if (on < 0)
        return invalid(value, "-e");
    for (int i = 0; i < selected->count; i++) {
        cJSON *gpu = selected->gpus[i];

        if (gpu_enabled(gpu, "ecc.mode.pending") == on) {
            printf("ECC support is already %s for GPU %s.\n", on ? "Enabled" : "Disabled",
                   bus_id(gpu));
            continue;
        }
        if (!may_set()) {
            printf("Unable to %s ECC support for GPU %s: Insufficient Permissions\n",
                   on ? "enable" : "disable", bus_id(gpu));
            return refused(RESULT_NO_PERMISSION);
        }
        gpu_set(gpu, "ecc.mode.pending", mode(on));
        printf("%s ECC support for GPU %s.\n", on ? "Enabled" : "Disabled", bus_id(gpu));
        changed = true;
    }
    result = done(selected, changed);
    if (changed && result == RESULT_OK)
        puts("Reboot required.");
    return result;
}

static enum result clocks_refused(const cJSON *gpu)
{
    printf("The current user does not have permission to change clocks for GPU %s.\n", bus_id(gpu));
    return refused(RESULT_NO_PERMISSION);
}

enum result lock_clocks(const struct selection *selected, const char *value)
{
    char *end;
    const double least = strtod(value, &end);
    const double most = *end == ',' ? strtod(end + 1, &end) : least;

    if (end == value || *end || least > most)
        return invalid(value, "-lgc");
    for (int i = 0; i < selected->count; i++) {
        cJSON *gpu = selected->gpus[i];
        double now = 0;

        if (!may_set())
            return clocks_refused(gpu);
        gpu_number(gpu, "clocks.sm", &now);
        now = now < least ? least : now > most ? most : now;
        gpu_set_until_load(gpu, "clocks.sm", cJSON_CreateNumber(now));
        gpu_set_until_load(gpu, "clocks.gr", cJSON_CreateNumber(now));
        printf("GPU clocks set to \"(gpuClkMin %.0f, gpuClkMax %.0f)\" for GPU %s\n", least, most,
               bus_id(gpu));
    }
    warn_without_persistence(selected);
    return done(selected, true);
}

enum result reset_clocks(const struct selection *selected, const char *value)
{
    (void)value;
    for (int i = 0; i < selected->count; i++) {
        if (!may_set())
            return clocks_refused(selected->gpus[i]);
        gpu_restore(selected->gpus[i], "clocks.sm");
        gpu_restore(selected->gpus[i], "clocks.gr");
    }
    warn_without_persistence(selected);
    return done(selected, true);
}
