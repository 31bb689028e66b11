#include "smi.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

enum kind { AS_IS, WATTS, REASON, COUNT, TIMESTAMP, DRIVER_VERSION, MEMORY_FREE };

struct column {
    const char *name; /* as the real tool heads it, whichever name was asked for */
    const char *alias;
    const char *key; /* in the document, where that is not the name */
    const char *unit;
    enum kind kind;
    unsigned long long reason; /* NVML's bit */
};

/* Fields with a unit, with two names or computed. Others are found in the document itself. */
static const struct column GPU_COLUMNS[] = {
    {.name = "count", .kind = COUNT},
    {.name = "timestamp", .kind = TIMESTAMP},
    {.name = "driver_version", .kind = DRIVER_VERSION},
    {.name = "name", .alias = "gpu_name"},
    {.name = "uuid", .alias = "gpu_uuid"},
    {.name = "serial", .alias = "gpu_serial"},
    {.name = "pci.bus_id", .alias = "gpu_bus_id"},
    {.name = "fan.speed", .unit = "%"},
    {.name = "memory.total", .unit = "MiB"},
    {.name = "memory.reserved", .unit = "MiB"},
    {.name = "memory.used", .unit = "MiB"},
    {.name = "memory.free", .unit = "MiB", .kind = MEMORY_FREE},
    {.name = "utilization.gpu", .unit = "%"},
    {.name = "utilization.memory", .unit = "%"},
    {.name = "power.draw", .unit = "W", .kind = WATTS},
    {.name = "power.draw.average", .key = "power.draw", .unit = "W", .kind = WATTS},
    {.name = "power.draw.instant", .key = "power.draw", .unit = "W", .kind = WATTS},
    {.name = "power.limit", .unit = "W", .kind = WATTS},
    {.name = "power.default_limit", .unit = "W", .kind = WATTS},
    {.name = "power.min_limit", .unit = "W", .kind = WATTS},
    {.name = "power.max_limit", .unit = "W", .kind = WATTS},
    {.name = "enforced.power.limit", .unit = "W", .kind = WATTS},
    {.name = "clocks.current.graphics", .alias = "clocks.gr", .key = "clocks.gr", .unit = "MHz"},
    {.name = "clocks.current.sm", .alias = "clocks.sm", .key = "clocks.sm", .unit = "MHz"},
    {.name = "clocks.current.memory", .alias = "clocks.mem", .key = "clocks.mem", .unit = "MHz"},
    {.name = "clocks.max.graphics",
     .alias = "clocks.max.gr",
     .key = "clocks.max.gr",
     .unit = "MHz"},
    {.name = "clocks.max.sm", .unit = "MHz"},
    {.name = "clocks.max.memory",
     .alias = "clocks.max.mem",
     .key = "clocks.max.mem",
     .unit = "MHz"},
    {.name = "clocks_event_reasons.active",
     .alias = "clocks_throttle_reasons.active",
     .key = "clocks_throttle_reasons.active"},
#define REASON_COLUMN(field, bit)                                                                  \
    {.name = "clocks_event_reasons." field,                                                        \
     .alias = "clocks_throttle_reasons." field,                                                    \
     .key = "clocks_throttle_reasons.active",                                                      \
     .kind = REASON,                                                                               \
     .reason = bit}
    REASON_COLUMN("gpu_idle", 0x1),
    REASON_COLUMN("applications_clocks_setting", 0x2),
    REASON_COLUMN("sw_power_cap", 0x4),
    REASON_COLUMN("hw_slowdown", 0x8),
    REASON_COLUMN("sync_boost", 0x10),
    REASON_COLUMN("sw_thermal_slowdown", 0x20),
    REASON_COLUMN("hw_thermal_slowdown", 0x40),
    REASON_COLUMN("hw_power_brake_slowdown", 0x80),
    {0},
};

static const struct column PROCESS_COLUMNS[] = {
    {.name = "timestamp", .kind = TIMESTAMP},
    {.name = "gpu_name", .key = "name"},
    {.name = "gpu_bus_id", .key = "pci.bus_id"},
    {.name = "gpu_serial", .key = "serial"},
    {.name = "gpu_uuid", .key = "uuid"},
    {.name = "pid"},
    {.name = "process_name", .alias = "name"},
    {.name = "used_gpu_memory", .alias = "used_memory", .key = "used_memory", .unit = "MiB"},
    {0},
};

struct table {
    struct column columns[64];
    int count;
    bool header, units;
};

static bool named(const char *name, const char *field)
{
    return name && !strcmp(name, field);
}

static bool add_column(struct table *table, const struct column *known, const cJSON *document_gpu,
                       const char *field)
{
    if (table->count == (int)(sizeof table->columns / sizeof *table->columns))
        return false;
    for (; known->name; known++) {
        if (named(known->name, field) || named(known->alias, field)) {
            table->columns[table->count++] = *known;
            return true;
        }
    }
    if (cJSON_HasObjectItem(document_gpu, field)) {
        table->columns[table->count++] = (struct column){.name = field};
        return true;
    }
    return false;
}

/* Splits `fields` in place: the columns point into it. */
static enum result parse(struct table *table, const struct column *known, const cJSON *document_gpu,
                         char *fields, const char *format)
{
    char modifiers[64], *modifier;

    *table = (struct table){.header = true, .units = true};
    for (char *field = strtok(fields, ", "); field; field = strtok(NULL, ", ")) {
        if (!add_column(table, known, document_gpu, field)) {
            printf("Field \"%s\" is not a valid field to query.\n", field);
            return RESULT_INVALID;
        }
    }
    snprintf(modifiers, sizeof modifiers, "%s", format);
    for (modifier = strtok(modifiers, ", "); modifier; modifier = strtok(NULL, ", ")) {
        if (!strcmp(modifier, "noheader")) {
            table->header = false;
        } else if (!strcmp(modifier, "nounits")) {
            table->units = false;
        } else if (strcmp(modifier, "csv")) {
            puts("Format modifier is not recognized.");
            return RESULT_INVALID;
        }
    }
    return RESULT_OK;
}

static void print_header(const struct table *table)
{
    for (int i = 0; table->header && i < table->count; i++) {
        const struct column *column = &table->columns[i];

        printf("%s%s", i ? ", " : "", column->name);
        if (column->unit)
            printf(" [%s]", column->unit);
        if (i == table->count - 1)
            putchar('\n');
    }
}

static void print_number(const struct table *table, const struct column *column, double value)
{
    printf("%.*f", column->kind == WATTS ? 2 : 0, value);
    if (table->units && column->unit)
        printf(" %s", column->unit);
}

static void print_time(void)
{
    struct timespec now;
    char text[32];

    clock_gettime(CLOCK_REALTIME, &now);
    strftime(text, sizeof text, "%Y/%m/%d %H:%M:%S", localtime(&now.tv_sec));
    printf("%s.%03ld", text, now.tv_nsec / 1000000);
}

static void print_free_memory(const struct table *table, const struct column *column,
                              const cJSON *gpu)
{
    double total = 0, used = 0, reserved = 0;

    gpu_number(gpu, "memory.total", &total);
    gpu_number(gpu, "memory.used", &used);
    gpu_number(gpu, "memory.reserved", &reserved);
    print_number(table, column, total - used - reserved);
}

/* `owner` has the column's key: the GPU, or one of its processes. */
static void print_value(const struct table *table, const struct column *column,
                        const struct state *state, const cJSON *owner)
{
    const char *key = column->key ? column->key : column->name;
    const cJSON *value = gpu_value(owner, key);

    if (column->kind == COUNT)
        printf("%d", gpu_count(state));
    else if (column->kind == TIMESTAMP)
        print_time();
    else if (column->kind == DRIVER_VERSION)
        fputs(state->driver_version, stdout);
    else if (column->kind == MEMORY_FREE)
        print_free_memory(table, column, owner);
    else if (column->kind == REASON)
        fputs(strtoull(gpu_text(owner, key), NULL, 16) & column->reason ? "Active" : "Not Active",
              stdout);
    else if (cJSON_IsNumber(value))
        print_number(table, column, value->valuedouble);
    else
        fputs(cJSON_IsString(value) ? value->valuestring : "[N/A]", stdout);
}

enum result query_gpus(const struct selection *selected, const char *fields, const char *format)
{
    struct table table;
    char *own = strdup(fields);
    enum result result = parse(&table, GPU_COLUMNS, selected->gpus[0], own, format);

    if (result == RESULT_OK)
        print_header(&table);
    for (int i = 0; result == RESULT_OK && i < selected->count; i++) {
        for (int c = 0; c < table.count; c++) {
            fputs(c ? ", " : "", stdout);
            print_value(&table, &table.columns[c], selected->state, selected->gpus[i]);
        }
        putchar('\n');
    }
    free(own);
    return result;
}

enum result query_processes(const struct selection *selected, const char *fields,
                            const char *format)
{
    struct table table;
    char *own = strdup(fields);
    enum result result = parse(&table, PROCESS_COLUMNS, NULL, own, format);

    if (result == RESULT_OK)
        print_header(&table);
    for (int i = 0; result == RESULT_OK && i < selected->count; i++) {
        const cJSON *gpu = selected->gpus[i], *process;

        cJSON_ArrayForEach(process, gpu_value(gpu, "processes"))
        {
            for (int c = 0; c < table.count; c++) {
                const struct column *column = &table.columns[c];
                bool of_gpu = !strncmp(column->name, "gpu_", strlen("gpu_"));

                fputs(c ? ", " : "", stdout);
                print_value(&table, column, selected->state, of_gpu ? gpu : process);
            }
            putchar('\n');
        }
    }
    free(own);
    return result;
}
