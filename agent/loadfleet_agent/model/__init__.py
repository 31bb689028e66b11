"""Which model a run uses: finding it on the host, or making the tiny one."""
