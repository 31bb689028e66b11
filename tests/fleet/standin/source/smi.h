/* The parts of the stand-in nvidia-smi, one for each task, and the selected GPUs they share. */
#ifndef STANDIN_SMI_H
#define STANDIN_SMI_H

#include "state.h"

#define MAX_GPUS 64

struct selection {
    struct state *state;
    cJSON *gpus[MAX_GPUS];
    int count;
};

/* smi_query.c: --query-gpu and --query-compute-apps as CSV. */
enum result query_gpus(const struct selection *selected, const char *fields, const char *format);
enum result query_processes(const struct selection *selected, const char *fields,
                            const char *format);

/* smi_set.c: one setting on every selected GPU; `value` as given on the command line. */
enum result set_power_limit(const struct selection *selected, const char *value);
enum result set_persistence_mode(const struct selection *selected, const char *value);
enum result set_mig_mode(const struct selection *selected, const char *value);
enum result set_ecc_mode(const struct selection *selected, const char *value);
enum result lock_clocks(const struct selection *selected, const char *value);
enum result reset_clocks(const struct selection *selected, const char *value);

/* smi_show.c: what is for people to read. */
void show_summary(const struct selection *selected);
void show_list(const struct selection *selected);
void show_details(const struct selection *selected);

#endif
