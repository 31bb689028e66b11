/*
 * The state of the stand-in GPUs: one JSON document that says what the hardware is like, and one
 * file that says which driver version is loaded. README.md beside the folder tells its keys.
 *
 * Nothing here talks to a GPU. NVIDIA_STANDIN_ROOT puts another folder in front of both paths.
 */
#ifndef STANDIN_STATE_H
#define STANDIN_STATE_H

#include <cjson/cJSON.h>
#include <stdbool.h>
#include <stddef.h>

#define STANDIN_GPUS "/etc/nvidia-standin/gpus.json"
#define STANDIN_LOADED "/run/nvidia-standin/loaded"
#define STANDIN_NOTE "loadfleet test stand-in: there is no GPU behind this"

/* The values are NVML's and nvidia-smi's own return codes. */
enum result {
    RESULT_OK = 0,
    RESULT_INVALID = 2,
    RESULT_NOT_SUPPORTED = 3,
    RESULT_NO_PERMISSION = 4,
    RESULT_NOT_FOUND = 6,
    RESULT_INSUFFICIENT_SIZE = 7,
    RESULT_DRIVER_NOT_LOADED = 9,
    RESULT_VERSION_MISMATCH = 18,
    RESULT_UNKNOWN = 999,
};

struct state {
    cJSON *document; /* never NULL after state_read(): without a file, a document without GPUs */
    enum result driver;
    char driver_version[80]; /* of the loaded driver; empty where none is */
    char cuda_version[16];
    int lock;
};

/* Reads both files. False, with a message on stderr, for a document that is no valid JSON. */
bool state_read(struct state *state);
/* The same, and keeps other writers out until state_free(). */
bool state_read_to_write(struct state *state);
/* Replaces the document on disk in one step; false, with a message on stderr, where it cannot. */
bool state_write(const struct state *state);
void state_free(struct state *state);

/* A path under NVIDIA_STANDIN_ROOT; the caller's buffer must have PATH_MAX bytes. */
const char *state_path(const char *path, char *buffer);
/* Writes a small text file in one step, with its folder where that is missing. */
bool replace_file(const char *path, const char *text);

/* GPUs that this process may see: all, or those that a container was given. */
int gpu_count(const struct state *state);
cJSON *gpu_at(const struct state *state, int index);

/* The value of a key, or NULL where the GPU does not have it (also: not in its present mode). */
const cJSON *gpu_value(const cJSON *gpu, const char *key);
/* The value as text, "" where the GPU does not have it or has a number. */
const char *gpu_text(const cJSON *gpu, const char *key);
bool gpu_number(const cJSON *gpu, const char *key, double *value);
bool gpu_enabled(const cJSON *gpu, const char *key);

/* Sets a value; takes the item. */
void gpu_set(cJSON *gpu, const char *key, cJSON *value);
/* The same, until the driver is loaded anew: then the document's earlier value comes back. */
void gpu_set_until_load(cJSON *gpu, const char *key, cJSON *value);
/* Brings back the value from before gpu_set_until_load(). */
void gpu_restore(cJSON *gpu, const char *key);
void gpu_restore_all(cJSON *gpu);

#endif
