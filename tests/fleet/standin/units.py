"""systemd units of the stand-in packages, and maintainer scripts as Debian's helpers write them."""

from __future__ import annotations

# Ordered before sysinit.target, as modules are loaded before services; wanted by multi-user.target,
# because the start of any service pulls in what sysinit.target wants, and that is no boot.
LOAD_SERVICE = """\
[Unit]
Description=Stand-in for loading the NVIDIA kernel module (no GPU here)
DefaultDependencies=no
ConditionPathExists=/etc/nvidia-standin/gpus.json
ConditionPathExists=!/run/nvidia-standin/installed-since-boot
After=local-fs.target
Before=sysinit.target shutdown.target
Conflicts=shutdown.target

[Service]
Type=oneshot
RemainAfterExit=yes
ExecStart=/usr/lib/nvidia-standin/bin/nvidia-standin-load

[Install]
WantedBy=multi-user.target
"""

# Debian's unit with Ubuntu's --no-persistence-mode: with it a host needs a drop-in to be right.
PERSISTENCED_SERVICE = """\
[Unit]
Description=NVIDIA Persistence Daemon (stand-in)
Wants=syslog.target

[Service]
Type=forking
ExecStart=/usr/bin/nvidia-persistenced --user nvpd --no-persistence-mode --verbose
ExecStopPost=/bin/rm -rf /var/run/nvidia-persistenced

[Install]
WantedBy=multi-user.target
"""

# As of toolkit 1.20, where the condition is that the kernel's modules.dep names nvidia.ko.
CDI_REFRESH_SERVICE = """\
[Unit]
Description=Refresh NVIDIA CDI specification file (stand-in)
ConditionPathExists=/usr/bin/nvidia-smi
ConditionPathExists=/usr/bin/nvidia-ctk
StartLimitBurst=5
StartLimitIntervalSec=10s

[Service]
Type=oneshot
Environment=NVIDIA_CTK_CDI_OUTPUT_FILE_PATH=/var/run/cdi/nvidia.yaml
EnvironmentFile=-/etc/nvidia-container-toolkit/nvidia-cdi-refresh.env
ExecCondition=/usr/bin/test -e /usr/lib/nvidia-standin/bin/nvidia-standin-load
ExecStart=/usr/bin/nvidia-smi -L
ExecStart=/usr/bin/nvidia-ctk cdi generate
Restart=on-failure
RestartSec=1s

[Install]
WantedBy=multi-user.target
"""

# The real unit watches modules.dep, and a udev rule tells of a module that is loaded.
CDI_REFRESH_PATH = """\
[Unit]
Description=Trigger CDI refresh on NVIDIA driver or toolkit install / upgrade events (stand-in)

[Path]
PathChanged=/usr/lib/nvidia-standin/bin/nvidia-standin-load
PathChanged=/run/nvidia-standin/loaded
PathChanged=/usr/bin/nvidia-ctk

[Install]
WantedBy=multi-user.target
"""


def scripts(*units: str, start: bool, before: str = "") -> dict[str, str]:
    """Maintainer scripts that enable the units, and start them only if ``start``.

    ``before`` is shell that postinst runs first.
    """
    names = " ".join(units)
    action = f'deb-systemd-invoke $(test -n "$2" && echo restart || echo start) {names} || true'
    return {
        "postinst": f"""\
#!/bin/sh
set -e
if [ "$1" = configure ]; then
    {before or ":"}
    deb-systemd-helper enable {names} >/dev/null
    if [ -d /run/systemd/system ]; then
        systemctl daemon-reload
        {action if start else ":"}
    fi
fi
""",
        "prerm": f"""\
#!/bin/sh
set -e
if [ "$1" = remove ] && [ -d /run/systemd/system ]; then
    deb-systemd-invoke stop {names} || true
fi
""",
        "postrm": f"""\
#!/bin/sh
set -e
if [ "$1" = purge ]; then
    deb-systemd-helper purge {names} >/dev/null || true
fi
if [ -d /run/systemd/system ]; then
    systemctl daemon-reload || true
fi
""",
    }
