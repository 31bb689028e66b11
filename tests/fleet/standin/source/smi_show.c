#include "smi.h"

#include <stdio.h>
#include <string.h>
#include <time.h>

#define BOX                                                                                        \
    "+-----------------------------------------+------------------------+----------------------+\n"
#define LINE                                                                                       \
    "+-----------------------------------------------------------------------------------------+\n"

/* A number as the tool writes it, or "N/A" where the GPU does not have it. */
static const char *number_text(const cJSON *gpu, const char *key, int decimals, char buffer[32])
{
    double value;

    if (gpu_number(gpu, key, &value))
        snprintf(buffer, 32, "%.*f", decimals, value);
    else
        snprintf(buffer, 32, "N/A");
    return buffer;
}

static const char *now(char buffer[32])
{
    const time_t seconds = time(NULL);

    strftime(buffer, 32, "%a %b %e %H:%M:%S %Y", localtime(&seconds));
    return buffer;
}

/* A text of the document, or "N/A". */
static const char *text_or_na(const cJSON *gpu, const char *key)
{
    return *gpu_text(gpu, key) ? gpu_text(gpu, key) : "N/A";
}

void show_list(const struct selection *selected)
{
    for (int i = 0; i < selected->count; i++)
        printf("GPU %d: %s (UUID: %s)\n", i, gpu_text(selected->gpus[i], "name"),
               gpu_text(selected->gpus[i], "uuid"));
}

static const char *ecc_errors(const cJSON *gpu, char buffer[32])
{
    if (!gpu_value(gpu, "ecc.mode.current"))
        return "N/A";
    if (!gpu_enabled(gpu, "ecc.mode.current"))
        return "Off";
    return number_text(gpu, "ecc.errors.uncorrected.volatile.total", 0, buffer);
}

static const char *with_percent(const cJSON *gpu, const char *key, char buffer[32])
{
    number_text(gpu, key, 0, buffer);
    if (gpu_value(gpu, key))
        strcat(buffer, "%");
    return buffer;
}

static void show_gpu(int index, const cJSON *gpu)
{
    char a[32], b[32], c[32];

    printf("|%4d  %-28.28s%5s  |   %-16s %-3s |%21s |\n", index, gpu_text(gpu, "name"),
           gpu_enabled(gpu, "persistence_mode") ? "On" : "Off", gpu_text(gpu, "pci.bus_id"), "Off",
           ecc_errors(gpu, a));
    printf("| %-3s%5sC%6s%15sW / %4sW |", "N/A", number_text(gpu, "temperature.gpu", 0, a), "P0",
           number_text(gpu, "power.draw", 0, b), number_text(gpu, "power.limit", 0, c));
    printf("%8sMiB / %6sMiB |%8s%13s |\n", number_text(gpu, "memory.used", 0, a),
           number_text(gpu, "memory.total", 0, b), with_percent(gpu, "utilization.gpu", c),
           "Default");
    printf("|%41s|%24s|%21s |\n" BOX, "", "", text_or_na(gpu, "mig.mode.current"));
}

static int show_processes(int index, const cJSON *gpu)
{
    const cJSON *process;
    int count = 0;

    cJSON_ArrayForEach(process, gpu_value(gpu, "processes"))
    {
        char pid[32], used[32];

        printf("|%5d   N/A  N/A%16s%7s   %-36.36s%7sMiB |\n", index,
               number_text(process, "pid", 0, pid), "C", gpu_text(process, "process_name"),
               number_text(process, "used_memory", 0, used));
        count++;
    }
    return count;
}

void show_summary(const struct selection *selected)
{
    char time_text[32];
    int processes = 0;

    printf("%-31s\n" LINE, now(time_text));
    printf("| NVIDIA-SMI %-22s Driver Version: %-15sCUDA Version: %-9s|\n" BOX, STANDIN_VERSION,
           selected->state->driver_version, selected->state->cuda_version);
    fputs("| GPU  Name                 Persistence-M | Bus-Id          Disp.A "
          "| Volatile Uncorr. ECC |\n"
          "| Fan  Temp   Perf          Pwr:Usage/Cap |           Memory-Usage "
          "| GPU-Util  Compute M. |\n"
          "|                                         |                        "
          "|               MIG M. |\n"
          "|=========================================+========================"
          "+======================|\n",
          stdout);
    for (int i = 0; i < selected->count; i++)
        show_gpu(i, selected->gpus[i]);
    printf("\n" LINE "| %-87s |\n", "Processes:");
    printf("| %-77s%-10s |\n", " GPU   GI   CI              PID   Type   Process name",
           "GPU Memory");
    printf("| %-77s%-10s |\n", "       ID   ID", "Usage");
    fputs("|====================================================================="
          "====================|\n",
          stdout);
    for (int i = 0; i < selected->count; i++)
        processes += show_processes(i, selected->gpus[i]);
    if (!processes)
        printf("| %-87s |\n", " No running processes found");
    fputs(LINE, stdout);
}

static void detail(int indent, const char *name, const char *value)
{
    printf("%*s%-*s : %s\n", indent, "", 54 - indent, name, value);
}

static void number_detail(const cJSON *gpu, int indent, const char *name, const char *key,
                          int decimals, const char *unit)
{
    char number[32], text[64];

    number_text(gpu, key, decimals, number);
    snprintf(text, sizeof text, "%s%s", number, gpu_value(gpu, key) ? unit : "");
    detail(indent, name, text);
}

static void show_modes(const cJSON *gpu)
{
    detail(4, "Persistence Mode", text_or_na(gpu, "persistence_mode"));
    puts("    MIG Mode");
    detail(8, "Current", text_or_na(gpu, "mig.mode.current"));
    detail(8, "Pending", text_or_na(gpu, "mig.mode.pending"));
    puts("    ECC Mode");
    detail(8, "Current", text_or_na(gpu, "ecc.mode.current"));
    detail(8, "Pending", text_or_na(gpu, "ecc.mode.pending"));
}

static void show_link(const cJSON *gpu)
{
    puts("    PCI");
    detail(8, "Bus Id", gpu_text(gpu, "pci.bus_id"));
    puts("        GPU Link Info\n            PCIe Generation");
    number_detail(gpu, 16, "Max", "pcie.link.gen.max", 0, "");
    number_detail(gpu, 16, "Current", "pcie.link.gen.current", 0, "");
    puts("            Link Width");
    number_detail(gpu, 16, "Max", "pcie.link.width.max", 0, "x");
    number_detail(gpu, 16, "Current", "pcie.link.width.current", 0, "x");
}

static void show_power(const cJSON *gpu)
{
    puts("    GPU Power Readings");
    number_detail(gpu, 8, "Instantaneous Power Draw", "power.draw", 2, " W");
    number_detail(gpu, 8, "Current Power Limit", "enforced.power.limit", 2, " W");
    number_detail(gpu, 8, "Requested Power Limit", "power.limit", 2, " W");
    number_detail(gpu, 8, "Default Power Limit", "power.default_limit", 2, " W");
    number_detail(gpu, 8, "Min Power Limit", "power.min_limit", 2, " W");
    number_detail(gpu, 8, "Max Power Limit", "power.max_limit", 2, " W");
}

void show_details(const struct selection *selected)
{
    char text[32];

    puts("\n==============NVSMI LOG==============\n");
    detail(0, "Timestamp", now(text));
    detail(0, "Driver Version", selected->state->driver_version);
    detail(0, "CUDA Version", selected->state->cuda_version);
    snprintf(text, sizeof text, "%d", gpu_count(selected->state));
    printf("\n");
    detail(0, "Attached GPUs", text);
    for (int i = 0; i < selected->count; i++) {
        const cJSON *gpu = selected->gpus[i];

        printf("GPU %s\n", gpu_text(gpu, "pci.bus_id"));
        detail(4, "Product Name", gpu_text(gpu, "name"));
        detail(4, "Stand-in", STANDIN_NOTE);
        detail(4, "GPU UUID", gpu_text(gpu, "uuid"));
        show_modes(gpu);
        show_link(gpu);
        puts("    FB Memory Usage");
        number_detail(gpu, 8, "Total", "memory.total", 0, " MiB");
        number_detail(gpu, 8, "Used", "memory.used", 0, " MiB");
        puts("    Temperature");
        number_detail(gpu, 8, "GPU Current Temp", "temperature.gpu", 0, " C");
        show_power(gpu);
        puts("    Clocks");
        number_detail(gpu, 8, "SM", "clocks.sm", 0, " MHz");
        number_detail(gpu, 8, "Memory", "clocks.mem", 0, " MHz");
    }
}
