/*
 * libnvidia-ml.so.1 of the stand-in: the part of NVML that the agent asks through pynvml, answered
 * from the JSON document. Names, structures and return codes are those of NVIDIA's nvml.h and of
 * nvidia-ml-py. Each call reads the document anew, so that it follows a change as hardware would.
 */
#include "state.h"

#include <limits.h>
#include <math.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <time.h>

#define API __attribute__((visibility("default")))
#define MIB (1024ULL * 1024ULL)
#define MEMORY_V2 0x02000028U
#define TEMPERATURE_V1 0x0100000CU
#define FIELD_MEMORY_TEMP 82
#define VALUE_UNSIGNED 1

typedef enum result nvmlReturn_t;
typedef void *nvmlDevice_t; /* the GPU's index and 1: never NULL */

typedef struct {
    char busIdLegacy[16];
    unsigned domain, bus, device, pciDeviceId, pciSubSystemId;
    char busId[32];
} nvmlPciInfo_t;

typedef struct {
    unsigned long long total, free, used;
} nvmlMemory_t;

typedef struct {
    unsigned version;
    unsigned long long total, reserved, free, used;
} nvmlMemory_v2_t;

typedef struct {
    unsigned gpu, memory;
} nvmlUtilization_t;

typedef struct {
    unsigned version, sensorType;
    int temperature;
} nvmlTemperature_t;

typedef struct {
    unsigned pid;
    unsigned long long usedGpuMemory;
    unsigned gpuInstanceId, computeInstanceId;
} nvmlProcessInfo_t;

typedef union {
    double dVal;
    unsigned uiVal;
    unsigned long ulVal;
    unsigned long long ullVal;
    long long sllVal;
    int siVal;
    unsigned short usVal;
} nvmlValue_t;

typedef struct {
    unsigned fieldId, scopeId;
    long long timestamp, latencyUsec;
    int valueType;
    nvmlReturn_t nvmlReturn;
    nvmlValue_t value;
} nvmlFieldValue_t;

/* Opens the document at the device; the caller frees the state after RESULT_OK. */
static nvmlReturn_t find(nvmlDevice_t device, struct state *state, cJSON **gpu)
{
    nvmlReturn_t result;

    if (!state_read(state))
        return RESULT_UNKNOWN;
    result = state->driver;
    if (result == RESULT_OK) {
        *gpu = gpu_at(state, (int)(uintptr_t)device - 1);
        result = *gpu ? RESULT_OK : RESULT_INVALID;
    }
    if (result != RESULT_OK)
        state_free(state);
    return result;
}

static nvmlReturn_t copy(char *buffer, unsigned length, const char *text)
{
    if (strlen(text) >= length)
        return RESULT_INSUFFICIENT_SIZE;
    memcpy(buffer, text, strlen(text) + 1);
    return RESULT_OK;
}

static nvmlReturn_t text(nvmlDevice_t device, const char *key, char *buffer, unsigned length)
{
    struct state state;
    cJSON *gpu;
    nvmlReturn_t result = find(device, &state, &gpu);

    if (result != RESULT_OK)
        return result;
    result = copy(buffer, length, gpu_text(gpu, key));
    state_free(&state);
    return result;
}

static nvmlReturn_t number(nvmlDevice_t device, const char *key, double unit, unsigned *value)
{
    struct state state;
    cJSON *gpu;
    double in_document;
    nvmlReturn_t result = find(device, &state, &gpu);

    if (result != RESULT_OK)
        return result;
    if (gpu_number(gpu, key, &in_document))
        *value = (unsigned)lround(in_document * unit);
    else
        result = RESULT_NOT_SUPPORTED;
    state_free(&state);
    return result;
}

static nvmlReturn_t enabled(nvmlDevice_t device, const char *key, unsigned *value)
{
    struct state state;
    cJSON *gpu;
    nvmlReturn_t result = find(device, &state, &gpu);

    if (result != RESULT_OK)
        return result;
    if (gpu_value(gpu, key))
        *value = gpu_enabled(gpu, key);
    else
        result = RESULT_NOT_SUPPORTED;
    state_free(&state);
    return result;
}

/* Initialisation and the system */

API nvmlReturn_t nvmlInit_v2(void)
{
    struct state state;
    nvmlReturn_t result;

    if (!state_read(&state))
        return RESULT_UNKNOWN;
    result = state.driver;
    state_free(&state);
    return result;
}

API nvmlReturn_t nvmlInitWithFlags(unsigned flags)
{
    (void)flags;
    return nvmlInit_v2();
}

API nvmlReturn_t nvmlShutdown(void)
{
    return RESULT_OK;
}

API const char *nvmlErrorString(nvmlReturn_t result)
{
    switch (result) {
    case RESULT_OK:
        return "Success";
    case RESULT_INVALID:
        return "Invalid Argument";
    case RESULT_NOT_SUPPORTED:
        return "Not Supported";
    case RESULT_NO_PERMISSION:
        return "Insufficient Permissions";
    case RESULT_NOT_FOUND:
        return "Not Found";
    case RESULT_INSUFFICIENT_SIZE:
        return "Insufficient Size";
    case RESULT_DRIVER_NOT_LOADED:
        return "Driver Not Loaded";
    case RESULT_VERSION_MISMATCH:
        return "Driver/library version mismatch";
    default:
        return "Unknown Error";
    }
}

API nvmlReturn_t nvmlSystemGetDriverVersion(char *version, unsigned length)
{
    struct state state;
    nvmlReturn_t result;

    if (!state_read(&state))
        return RESULT_UNKNOWN;
    result = state.driver == RESULT_OK ? copy(version, length, state.driver_version) : state.driver;
    state_free(&state);
    return result;
}

API nvmlReturn_t nvmlSystemGetNVMLVersion(char *version, unsigned length)
{
    return copy(version, length, "13." STANDIN_VERSION);
}

API nvmlReturn_t nvmlSystemGetCudaDriverVersion_v2(int *version)
{
    struct state state;
    nvmlReturn_t result;
    int major = 0, minor = 0;

    if (!state_read(&state))
        return RESULT_UNKNOWN;
    result = state.driver;
    sscanf(state.cuda_version, "%d.%d", &major, &minor);
    *version = major * 1000 + minor * 10;
    state_free(&state);
    return result;
}

/* Devices */

API nvmlReturn_t nvmlDeviceGetCount_v2(unsigned *count)
{
    struct state state;
    nvmlReturn_t result;

    if (!state_read(&state))
        return RESULT_UNKNOWN;
    result = state.driver;
    *count = (unsigned)gpu_count(&state);
    state_free(&state);
    return result;
}

API nvmlReturn_t nvmlDeviceGetHandleByIndex_v2(unsigned index, nvmlDevice_t *device)
{
    struct state state;
    cJSON *gpu;
    nvmlReturn_t result;

    *device = (nvmlDevice_t)((uintptr_t)index + 1);
    result = find(*device, &state, &gpu);
    if (result == RESULT_OK)
        state_free(&state);
    return result;
}

API nvmlReturn_t nvmlDeviceGetHandleByUUID(const char *uuid, nvmlDevice_t *device)
{
    char of_device[96];
    nvmlReturn_t result;

    for (unsigned index = 0;; index++) {
        result = nvmlDeviceGetHandleByIndex_v2(index, device);
        if (result != RESULT_OK)
            return result == RESULT_INVALID ? RESULT_NOT_FOUND : result;
        result = text(*device, "uuid", of_device, sizeof of_device);
        if (result == RESULT_OK && !strcmp(of_device, uuid))
            return RESULT_OK;
    }
}

API nvmlReturn_t nvmlDeviceGetIndex(nvmlDevice_t device, unsigned *index)
{
    *index = (unsigned)((uintptr_t)device - 1);
    return RESULT_OK;
}

API nvmlReturn_t nvmlDeviceGetName(nvmlDevice_t device, char *name, unsigned length)
{
    return text(device, "name", name, length);
}

API nvmlReturn_t nvmlDeviceGetUUID(nvmlDevice_t device, char *uuid, unsigned length)
{
    return text(device, "uuid", uuid, length);
}

API nvmlReturn_t nvmlDeviceGetPciInfo_v3(nvmlDevice_t device, nvmlPciInfo_t *info)
{
    nvmlReturn_t result;

    memset(info, 0, sizeof *info);
    result = text(device, "pci.bus_id", info->busId, sizeof info->busId);
    if (result != RESULT_OK)
        return result;
    sscanf(info->busId, "%x:%x:%x", &info->domain, &info->bus, &info->device);
    snprintf(info->busIdLegacy, sizeof info->busIdLegacy, "%04X:%02X:%02X.0",
             info->domain & 0xFFFF, info->bus & 0xFF, info->device & 0xFF);
    return RESULT_OK;
}

API nvmlReturn_t nvmlDeviceGetCudaComputeCapability(nvmlDevice_t device, int *major, int *minor)
{
    char capability[16];
    nvmlReturn_t result = text(device, "compute_cap", capability, sizeof capability);

    if (result == RESULT_OK && sscanf(capability, "%d.%d", major, minor) != 2)
        result = RESULT_NOT_SUPPORTED;
    return result;
}

/* Memory and load */

API nvmlReturn_t nvmlDeviceGetMemoryInfo_v2(nvmlDevice_t device, nvmlMemory_v2_t *memory)
{
    unsigned total, used, reserved = 0;
    nvmlReturn_t result = number(device, "memory.total", 1, &total);

    if (memory->version != MEMORY_V2)
        return RESULT_INVALID;
    if (result == RESULT_OK)
        result = number(device, "memory.used", 1, &used);
    if (result != RESULT_OK)
        return result;
    number(device, "memory.reserved", 1, &reserved);
    memory->total = total * MIB;
    memory->used = used * MIB;
    memory->reserved = reserved * MIB;
    memory->free = memory->total - memory->used - memory->reserved;
    return RESULT_OK;
}

/* As the real first version of this call, it counts what is reserved as used. */
API nvmlReturn_t nvmlDeviceGetMemoryInfo(nvmlDevice_t device, nvmlMemory_t *memory)
{
    nvmlMemory_v2_t newer = {.version = MEMORY_V2};
    nvmlReturn_t result = nvmlDeviceGetMemoryInfo_v2(device, &newer);

    memory->total = newer.total;
    memory->free = newer.free;
    memory->used = newer.used + newer.reserved;
    return result;
}

API nvmlReturn_t nvmlDeviceGetUtilizationRates(nvmlDevice_t device, nvmlUtilization_t *load)
{
    nvmlReturn_t result = number(device, "utilization.gpu", 1, &load->gpu);

    if (result == RESULT_OK)
        result = number(device, "utilization.memory", 1, &load->memory);
    return result;
}

API nvmlReturn_t nvmlDeviceGetComputeRunningProcesses_v3(nvmlDevice_t device, unsigned *count,
                                                         nvmlProcessInfo_t *infos)
{
    struct state state;
    cJSON *gpu;
    const cJSON *process, *processes;
    const unsigned room = *count;
    nvmlReturn_t result = find(device, &state, &gpu);

    if (result != RESULT_OK)
        return result;
    processes = gpu_value(gpu, "processes");
    *count = (unsigned)cJSON_GetArraySize(processes);
    if (*count > room) {
        state_free(&state);
        return RESULT_INSUFFICIENT_SIZE;
    }
    cJSON_ArrayForEach(process, processes)
    {
        double pid = 0, used = 0;

        gpu_number(process, "pid", &pid);
        gpu_number(process, "used_memory", &used);
        *infos++ = (nvmlProcessInfo_t){.pid = (unsigned)pid,
                                       .usedGpuMemory = (unsigned long long)used * MIB,
                                       .gpuInstanceId = UINT_MAX,
                                       .computeInstanceId = UINT_MAX};
    }
    state_free(&state);
    return RESULT_OK;
}

/* Power, temperature and clocks */

API nvmlReturn_t nvmlDeviceGetPowerUsage(nvmlDevice_t device, unsigned *milliwatts)
{
    return number(device, "power.draw", 1000, milliwatts);
}

API nvmlReturn_t nvmlDeviceGetPowerManagementLimit(nvmlDevice_t device, unsigned *milliwatts)
{
    return number(device, "power.limit", 1000, milliwatts);
}

API nvmlReturn_t nvmlDeviceGetPowerManagementDefaultLimit(nvmlDevice_t device, unsigned *milliwatts)
{
    return number(device, "power.default_limit", 1000, milliwatts);
}

API nvmlReturn_t nvmlDeviceGetEnforcedPowerLimit(nvmlDevice_t device, unsigned *milliwatts)
{
    return number(device, "enforced.power.limit", 1000, milliwatts);
}

API nvmlReturn_t nvmlDeviceGetPowerManagementLimitConstraints(nvmlDevice_t device, unsigned *least,
                                                              unsigned *most)
{
    nvmlReturn_t result = number(device, "power.min_limit", 1000, least);

    return result == RESULT_OK ? number(device, "power.max_limit", 1000, most) : result;
}

/* Since the driver was loaded, at the power that is drawn now. */
API nvmlReturn_t nvmlDeviceGetTotalEnergyConsumption(nvmlDevice_t device,
                                                     unsigned long long *millijoules)
{
    char path[PATH_MAX];
    struct stat loaded;
    struct timespec now;
    unsigned milliwatts;
    nvmlReturn_t result = number(device, "power.draw", 1000, &milliwatts);

    if (result != RESULT_OK)
        return result;
    if (stat(state_path(STANDIN_LOADED, path), &loaded) || clock_gettime(CLOCK_REALTIME, &now))
        return RESULT_UNKNOWN;
    *millijoules = (unsigned long long)(milliwatts *
                                        (difftime(now.tv_sec, loaded.st_mtim.tv_sec) +
                                         (double)(now.tv_nsec - loaded.st_mtim.tv_nsec) / 1e9));
    return RESULT_OK;
}

API nvmlReturn_t nvmlDeviceGetTemperature(nvmlDevice_t device, unsigned sensor, unsigned *celsius)
{
    return sensor == 0 ? number(device, "temperature.gpu", 1, celsius) : RESULT_INVALID;
}

API nvmlReturn_t nvmlDeviceGetTemperatureV(nvmlDevice_t device, nvmlTemperature_t *temperature)
{
    unsigned celsius = 0;
    nvmlReturn_t result;

    if (temperature->version != TEMPERATURE_V1)
        return RESULT_INVALID;
    result = nvmlDeviceGetTemperature(device, temperature->sensorType, &celsius);
    temperature->temperature = (int)celsius;
    return result;
}

/* Of the fields, the temperature of the memory alone. */
API nvmlReturn_t nvmlDeviceGetFieldValues(nvmlDevice_t device, int count, nvmlFieldValue_t *values)
{
    for (nvmlFieldValue_t *value = values; value < values + count; value++) {
        value->valueType = VALUE_UNSIGNED;
        value->nvmlReturn = value->fieldId == FIELD_MEMORY_TEMP
                                ? number(device, "temperature.memory", 1, &value->value.uiVal)
                                : RESULT_NOT_SUPPORTED;
    }
    return RESULT_OK;
}

static const char *const CLOCKS[] = {"clocks.gr", "clocks.sm", "clocks.mem"};
static const char *const MAX_CLOCKS[] = {"clocks.max.gr", "clocks.max.sm", "clocks.max.mem"};

API nvmlReturn_t nvmlDeviceGetClockInfo(nvmlDevice_t device, unsigned type, unsigned *mhz)
{
    return type < 3 ? number(device, CLOCKS[type], 1, mhz) : RESULT_NOT_SUPPORTED;
}

API nvmlReturn_t nvmlDeviceGetMaxClockInfo(nvmlDevice_t device, unsigned type, unsigned *mhz)
{
    return type < 3 ? number(device, MAX_CLOCKS[type], 1, mhz) : RESULT_NOT_SUPPORTED;
}

API nvmlReturn_t nvmlDeviceGetCurrentClocksThrottleReasons(nvmlDevice_t device,
                                                           unsigned long long *reasons)
{
    char mask[32];
    nvmlReturn_t result = text(device, "clocks_throttle_reasons.active", mask, sizeof mask);

    if (result == RESULT_OK)
        *reasons = strtoull(mask, NULL, 16);
    return result;
}

API nvmlReturn_t nvmlDeviceGetCurrentClocksEventReasons(nvmlDevice_t device,
                                                        unsigned long long *reasons)
{
    return nvmlDeviceGetCurrentClocksThrottleReasons(device, reasons);
}

/* Modes, errors and the PCIe link */

API nvmlReturn_t nvmlDeviceGetPersistenceMode(nvmlDevice_t device, unsigned *mode)
{
    return enabled(device, "persistence_mode", mode);
}

API nvmlReturn_t nvmlDeviceGetEccMode(nvmlDevice_t device, unsigned *current, unsigned *pending)
{
    nvmlReturn_t result = enabled(device, "ecc.mode.current", current);

    return result == RESULT_OK ? enabled(device, "ecc.mode.pending", pending) : result;
}

API nvmlReturn_t nvmlDeviceGetMigMode(nvmlDevice_t device, unsigned *current, unsigned *pending)
{
    nvmlReturn_t result = enabled(device, "mig.mode.current", current);

    return result == RESULT_OK ? enabled(device, "mig.mode.pending", pending) : result;
}

API nvmlReturn_t nvmlDeviceGetTotalEccErrors(nvmlDevice_t device, unsigned type, unsigned counter,
                                             unsigned long long *count)
{
    char key[64];
    unsigned value;
    nvmlReturn_t result;

    if (type > 1 || counter > 1)
        return RESULT_INVALID;
    snprintf(key, sizeof key, "ecc.errors.%s.%s.total", type ? "uncorrected" : "corrected",
             counter ? "aggregate" : "volatile");
    result = number(device, key, 1, &value);
    if (result == RESULT_OK)
        *count = value;
    return result;
}

API nvmlReturn_t nvmlDeviceGetMaxPcieLinkGeneration(nvmlDevice_t device, unsigned *generation)
{
    return number(device, "pcie.link.gen.max", 1, generation);
}

API nvmlReturn_t nvmlDeviceGetCurrPcieLinkGeneration(nvmlDevice_t device, unsigned *generation)
{
    return number(device, "pcie.link.gen.current", 1, generation);
}

API nvmlReturn_t nvmlDeviceGetMaxPcieLinkWidth(nvmlDevice_t device, unsigned *width)
{
    return number(device, "pcie.link.width.max", 1, width);
}

API nvmlReturn_t nvmlDeviceGetCurrPcieLinkWidth(nvmlDevice_t device, unsigned *width)
{
    return number(device, "pcie.link.width.current", 1, width);
}

/* The link of a stand-in never repeats a packet. */
API nvmlReturn_t nvmlDeviceGetPcieReplayCounter(nvmlDevice_t device, unsigned *replays)
{
    nvmlReturn_t result = nvmlDeviceGetCurrPcieLinkWidth(device, replays);

    *replays = 0;
    return result;
}
