#include "state.h"

#include <fcntl.h>
#include <libgen.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

/* Values as they were before a command changed them for the time that the driver is loaded. */
#define AT_LOAD "at_load"
/* nvidia-ctk's CDI devices put one variable for each GPU into a container. */
#define VISIBLE "NVIDIA_STANDIN_GPU_"

extern char **environ;

const char *state_path(const char *path, char *buffer)
{
    const char *root = getenv("NVIDIA_STANDIN_ROOT");

    snprintf(buffer, PATH_MAX, "%s%s", root ? root : "", path);
    return buffer;
}

/* The file's text in memory that the caller frees; NULL where there is no such file. */
static char *read_file(const char *path)
{
    char *text = NULL;
    size_t size = 0, got;
    FILE *stream = fopen(path, "r");

    if (!stream)
        return NULL;
    do {
        char *larger = realloc(text, size + BUFSIZ + 1);

        if (!larger)
            abort();
        text = larger;
        got = fread(text + size, 1, BUFSIZ, stream);
        size += got;
    } while (got == BUFSIZ);
    text[size] = '\0';
    fclose(stream);
    return text;
}

bool replace_file(const char *path, const char *text)
{
    char folder[PATH_MAX], temporary[PATH_MAX];
    FILE *stream;
    bool written;

    snprintf(folder, sizeof folder, "%s", path);
    mkdir(dirname(folder), 0755); /* where it exists already, the next call says the rest */
    if (snprintf(temporary, sizeof temporary, "%s.%ld", path, (long)getpid()) >= PATH_MAX)
        return false;
    stream = fopen(temporary, "w");
    if (!stream) {
        perror(path);
        return false;
    }
    written = fputs(text, stream) >= 0;
    written = fchmod(fileno(stream), 0644) == 0 && written;
    written = fclose(stream) == 0 && written && rename(temporary, path) == 0;
    if (!written) {
        perror(path);
        unlink(temporary);
    }
    return written;
}

static bool read_document(struct state *state)
{
    char path[PATH_MAX];
    char *text = read_file(state_path(STANDIN_GPUS, path));

    state->document = text ? cJSON_Parse(text) : cJSON_CreateObject();
    free(text);
    if (cJSON_IsObject(state->document))
        return true;
    fprintf(stderr, "%s: not a JSON document of stand-in GPUs\n", path);
    return false;
}

/* The document may speak for the kernel: null, no driver loads; a string, another version did. */
static void read_driver(struct state *state)
{
    char path[PATH_MAX];
    char *loaded = read_file(state_path(STANDIN_LOADED, path));
    const cJSON *other = cJSON_GetObjectItemCaseSensitive(state->document, "driver_version");
    const cJSON *cuda = cJSON_GetObjectItemCaseSensitive(state->document, "cuda_version");

    state->driver = RESULT_DRIVER_NOT_LOADED;
    state->driver_version[0] = '\0';
    if (loaded && !cJSON_IsNull(other)) {
        loaded[strcspn(loaded, "\n")] = '\0';
        snprintf(state->driver_version, sizeof state->driver_version, "%s",
                 cJSON_IsString(other) ? other->valuestring : loaded);
        state->driver = strcmp(state->driver_version, STANDIN_VERSION) ? RESULT_VERSION_MISMATCH
                                                                       : RESULT_OK;
    }
    snprintf(state->cuda_version, sizeof state->cuda_version, "%s",
             cJSON_IsString(cuda) ? cuda->valuestring : STANDIN_CUDA_VERSION);
    free(loaded);
}

bool state_read(struct state *state)
{
    state->lock = -1;
    if (!read_document(state))
        return false;
    read_driver(state);
    return true;
}

bool state_read_to_write(struct state *state)
{
    char path[PATH_MAX];
    int lock;

    /* The folder is locked, and not the file, which every writer replaces. */
    state_path(STANDIN_GPUS, path);
    lock = open(dirname(path), O_RDONLY | O_CLOEXEC);
    if (lock >= 0)
        flock(lock, LOCK_EX);
    if (!state_read(state)) {
        if (lock >= 0)
            close(lock);
        return false;
    }
    state->lock = lock;
    return true;
}

bool state_write(const struct state *state)
{
    char path[PATH_MAX];
    char *text = cJSON_Print(state->document);
    bool written = text && replace_file(state_path(STANDIN_GPUS, path), text);

    cJSON_free(text);
    return written;
}

void state_free(struct state *state)
{
    cJSON_Delete(state->document);
    if (state->lock >= 0)
        close(state->lock);
}

/* In a container with some of the GPUs, only those; on the host and with "all", every GPU. */
static bool visible(const cJSON *gpu)
{
    bool limited = false;

    for (char **entry = environ; *entry; entry++) {
        const char *value = strchr(*entry, '=');

        if (strncmp(*entry, VISIBLE, strlen(VISIBLE)) || !value)
            continue;
        if (!strcmp(value + 1, "all") || !strcmp(value + 1, gpu_text(gpu, "uuid")))
            return true;
        limited = true;
    }
    return !limited;
}

static cJSON *gpus(const struct state *state)
{
    return cJSON_GetObjectItemCaseSensitive(state->document, "gpus");
}

int gpu_count(const struct state *state)
{
    int count = 0;
    const cJSON *gpu;

    cJSON_ArrayForEach(gpu, gpus(state)) count += visible(gpu);
    return count;
}

cJSON *gpu_at(const struct state *state, int index)
{
    cJSON *gpu;

    cJSON_ArrayForEach(gpu, gpus(state))
    {
        if (visible(gpu) && index-- == 0)
            return gpu;
    }
    return NULL;
}

bool gpu_enabled(const cJSON *gpu, const char *key)
{
    return !strcmp(gpu_text(gpu, key), "Enabled");
}

/* Without ECC a GPU counts no errors, and in MIG mode it has no utilisation as a whole. */
static bool lost_in_mode(const cJSON *gpu, const char *key)
{
    if (!strncmp(key, "ecc.errors.", strlen("ecc.errors.")))
        return !gpu_enabled(gpu, "ecc.mode.current");
    if (!strncmp(key, "utilization.", strlen("utilization.")))
        return gpu_enabled(gpu, "mig.mode.current");
    return false;
}

const cJSON *gpu_value(const cJSON *gpu, const char *key)
{
    const cJSON *value = cJSON_GetObjectItemCaseSensitive(gpu, key);

    return !value || cJSON_IsNull(value) || lost_in_mode(gpu, key) ? NULL : value;
}

const char *gpu_text(const cJSON *gpu, const char *key)
{
    const char *text = cJSON_GetStringValue(cJSON_GetObjectItemCaseSensitive(gpu, key));

    return text ? text : "";
}

bool gpu_number(const cJSON *gpu, const char *key, double *value)
{
    const cJSON *item = gpu_value(gpu, key);

    if (!cJSON_IsNumber(item))
        return false;
    *value = item->valuedouble;
    return true;
}

void gpu_set(cJSON *gpu, const char *key, cJSON *value)
{
    if (cJSON_HasObjectItem(gpu, key))
        cJSON_ReplaceItemInObjectCaseSensitive(gpu, key, value);
    else
        cJSON_AddItemToObject(gpu, key, value);
}

void gpu_set_until_load(cJSON *gpu, const char *key, cJSON *value)
{
    const cJSON *old = cJSON_GetObjectItemCaseSensitive(gpu, key);
    cJSON *at_load = cJSON_GetObjectItemCaseSensitive(gpu, AT_LOAD);

    if (!at_load)
        at_load = cJSON_AddObjectToObject(gpu, AT_LOAD);
    if (!cJSON_HasObjectItem(at_load, key))
        cJSON_AddItemToObject(at_load, key, old ? cJSON_Duplicate(old, true) : cJSON_CreateNull());
    gpu_set(gpu, key, value);
}

void gpu_restore(cJSON *gpu, const char *key)
{
    cJSON *at_load = cJSON_GetObjectItemCaseSensitive(gpu, AT_LOAD);
    cJSON *old = cJSON_DetachItemFromObjectCaseSensitive(at_load, key);

    if (old)
        gpu_set(gpu, key, old);
    if (at_load && !at_load->child)
        cJSON_DeleteItemFromObjectCaseSensitive(gpu, AT_LOAD);
}

void gpu_restore_all(cJSON *gpu)
{
    const cJSON *at_load;

    while ((at_load = cJSON_GetObjectItemCaseSensitive(gpu, AT_LOAD))) {
        char *key = strdup(at_load->child ? at_load->child->string : "");

        gpu_restore(gpu, key);
        free(key);
    }
}
