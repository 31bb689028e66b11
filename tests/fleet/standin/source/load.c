/*
 * Models the loading of the kernel module, which happens at boot only: MIG and ECC modes that wait
 * become current, what was set since the last time is forgotten, and the file that says which
 * version is loaded is written. README.md tells why installing the package does not do this.
 */
#include "state.h"

#include <limits.h>
#include <stdio.h>

static void apply_pending(cJSON *gpu, const char *current, const char *pending)
{
    const cJSON *value = gpu_value(gpu, pending);

    if (value)
        gpu_set(gpu, current, cJSON_Duplicate(value, true));
}

int main(void)
{
    struct state state;
    char path[PATH_MAX];
    bool loaded;

    if (!state_read_to_write(&state))
        return 1;
    if (cJSON_IsNull(cJSON_GetObjectItemCaseSensitive(state.document, "driver_version"))) {
        puts("NVRM: no driver loads here: the document says so (" STANDIN_NOTE ")");
        state_free(&state);
        return 0;
    }
    for (int i = 0; i < gpu_count(&state); i++) {
        cJSON *gpu = gpu_at(&state, i);

        gpu_restore_all(gpu);
        apply_pending(gpu, "mig.mode.current", "mig.mode.pending");
        apply_pending(gpu, "ecc.mode.current", "ecc.mode.pending");
    }
    loaded = state_write(&state) &&
             replace_file(state_path(STANDIN_LOADED, path), STANDIN_VERSION "\n");
    if (loaded)
        puts("NVRM: loading " STANDIN_VERSION " (" STANDIN_NOTE ")");
    state_free(&state);
    return !loaded;
}
