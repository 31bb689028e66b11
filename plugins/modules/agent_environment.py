"""agent_environment: installs the agent's virtual environment from a wheelhouse on the host."""

from __future__ import annotations

import os
import pathlib
import pwd
import shutil
import stat
import subprocess
from typing import Any

from ansible.module_utils.basic import AnsibleModule

DOCUMENTATION = r"""
module: agent_environment
short_description: Install the agent's own virtual environment from a wheelhouse
description:
  - Makes an environment of its own for each wheelhouse, with uv, offline, every file checked by
    hash. Nothing is installed into the host's Python, and an environment in use is never changed.
  - An environment is complete or not there; the two newest are kept. C(bin/loadfleet-agent) beside
    the environments' folder leads to the one that was asked for last.
  - Where a I(user) is given and Ansible is root, that system user is made, owns what a run writes,
    and is who runs it.
options:
  environments:
    description: Folder of the agent's environments.
    type: path
    required: true
  wheelhouse:
    description: Folder with the wheels, requirements.txt and uv.
    type: path
    required: true
  key:
    description: Name of the environment; names the wheelhouse it was made from.
    type: str
    required: true
  python:
    description: Python to make it with.
    type: path
    required: true
  user:
    description: System user whom runs, caches and datasets belong to.
    type: str
author:
  - loadfleet developers (@loadfleet)
"""

EXAMPLES = r"""
- name: Install the agent
  agent_environment:
    environments: /var/lib/loadfleet/environments
    wheelhouse: /var/lib/loadfleet/wheelhouses/cpu-py311-0123456789ab
    key: cpu-py311-0123456789ab
    python: /usr/bin/python3
"""

RETURN = r"""
command:
  description: Path of the loadfleet-agent command, the same for every environment.
  type: str
  returned: always
user:
  description: Who owns what a run writes; none where it is whoever Ansible is.
  type: str
  returned: always
"""

KEPT = 2
FOLDERS = {"runs": 0o755, "cache": 0o755, "datasets": 0o700}
"""Of the data folder, with their modes. A watcher who is not root sees how far a run is."""
ROOTS_OWN = "cache/hub"
"""The hub's cache stays root's, who downloads."""


def run(module: Any, command: list[str], environment: dict[str, str]) -> None:
    done = subprocess.run(command, capture_output=True, text=True, env=environment, check=False)
    if done.returncode != 0:
        lines = done.stderr.strip().splitlines() or ["no message"]
        module.fail_json(msg=f"{' '.join(command[:3])} failed: {' '.join(lines)[-600:]}")


def install(module: Any, folder: pathlib.Path, wheelhouse: pathlib.Path) -> None:
    """Makes the environment; only a complete one has the marker."""
    shutil.rmtree(folder, ignore_errors=True)
    folder.parent.mkdir(parents=True, exist_ok=True)
    uv = str(wheelhouse / "uv")
    # A cache of its own, beside the environment so that files are linked and not copied: the
    # user's would keep gigabytes of every wheelhouse that there ever was.
    cache = folder.with_name(f".{folder.name}.uv-cache")
    environment = dict(
        os.environ,
        UV_NO_CONFIG="1", UV_OFFLINE="1", UV_PYTHON_DOWNLOADS="never", UV_CACHE_DIR=str(cache),
    )  # fmt: skip
    # Of another Python's environment, as on a controller that is its own host.
    for name in ("VIRTUAL_ENV", "PYTHONPATH", "PYTHONHOME", "UV_FIND_LINKS", "UV_INDEX_URL"):
        environment.pop(name, None)
    try:
        run(
            module,
            [uv, "venv", "--quiet", "--python", module.params["python"], str(folder)],
            environment,
        )
        run(
            module,
            [
                uv, "pip", "install", "--quiet", "--python", str(folder / "bin" / "python"),
                "--no-index", "--find-links", str(wheelhouse), "--no-deps", "--require-hashes",
                "--compile-bytecode", "--requirement", str(wheelhouse / "requirements.txt"),
            ],
            environment,
        )  # fmt: skip
    finally:
        shutil.rmtree(cache, ignore_errors=True)
    (folder / ".complete").touch()


def forget_wheelhouses(brought: pathlib.Path, current: pathlib.Path) -> None:
    """Removes what earlier environments were installed from; not the controller's own store."""
    if current.parent == brought:
        for old in brought.iterdir():
            if old != current:
                shutil.rmtree(old, ignore_errors=True)


def point(link: pathlib.Path, target: pathlib.Path) -> bool:
    """Makes the link in one step, so that the command is there at any time; whether it changed."""
    if link.is_symlink() and link.readlink() == target:
        return False
    link.parent.mkdir(exist_ok=True)
    beside = link.with_name(f".{link.name}.new")
    beside.unlink(missing_ok=True)
    beside.symlink_to(target)
    beside.replace(link)
    return True


def make_user(module: Any, name: str, home: pathlib.Path) -> bool:
    """Whether it was not there."""
    try:
        pwd.getpwnam(name)
    except KeyError:
        if not module.check_mode:
            module.run_command(
                [
                    "useradd", "--system", "--user-group", "--no-create-home", "--home-dir",
                    str(home), "--shell", "/usr/sbin/nologin", name,
                ],
                check_rc=True,
            )  # fmt: skip
        return True
    return False


def hand_over(home: pathlib.Path, user: pwd.struct_passwd) -> bool:
    """Makes the folders and gives the user all that is in them; whether anything changed.

    What was there is the user's or root's. No link is followed, not even one put there just now.
    """
    changed = False
    for name, mode in FOLDERS.items():
        folder = home / name
        if not folder.exists():
            folder.mkdir(parents=True)
            changed = True
        if stat.S_IMODE(folder.stat().st_mode) != mode:
            folder.chmod(mode)
            changed = True
        changed = take(folder.parent, [name], user, None) or changed
        kept = home / ROOTS_OWN
        for path, folders, files, descriptor in os.fwalk(folder):
            folders[:] = [part for part in folders if pathlib.Path(path, part) != kept]
            changed = take(pathlib.Path(path), folders + files, user, descriptor) or changed
    return changed


def take(
    folder: pathlib.Path, names: list[str], user: pwd.struct_passwd, descriptor: int | None
) -> bool:
    """Whether one of these entries of a folder was another user's."""
    changed = False
    for name in names:
        path = str(folder / name) if descriptor is None else name
        found = os.stat(path, dir_fd=descriptor, follow_symlinks=False)
        if (found.st_uid, found.st_gid) != (user.pw_uid, user.pw_gid):
            os.chown(path, user.pw_uid, user.pw_gid, dir_fd=descriptor, follow_symlinks=False)
            changed = True
    return changed


def main() -> None:
    module = AnsibleModule(
        argument_spec={
            "environments": {"type": "path", "required": True},
            "wheelhouse": {"type": "path", "required": True},
            "key": {"type": "str", "required": True},
            "python": {"type": "path", "required": True},
            "user": {"type": "str"},
        },
        supports_check_mode=True,
    )
    os.umask(0o022)  # also where root's is stricter: the user runs what is installed
    environments = pathlib.Path(module.params["environments"])
    folder = environments / module.params["key"]
    command = str(folder / "bin" / "loadfleet-agent")
    changed = not (folder / ".complete").is_file()
    if changed and not module.check_mode:
        install(module, folder, pathlib.Path(module.params["wheelhouse"]))
        others = sorted(
            (path for path in environments.iterdir() if path != folder and path.is_dir()),
            key=lambda path: path.stat().st_mtime,
        )
        for old in others[: -(KEPT - 1)]:
            shutil.rmtree(old, ignore_errors=True)
        forget_wheelhouses(
            environments.parent / "wheelhouses", pathlib.Path(module.params["wheelhouse"])
        )
    user = module.params["user"] if os.geteuid() == 0 else None
    if user:
        changed = make_user(module, user, environments.parent) or changed
        if not module.check_mode:
            changed = hand_over(environments.parent, pwd.getpwnam(user)) or changed
    link = environments.parent / "bin" / "loadfleet-agent"
    if not module.check_mode:
        changed = point(link, pathlib.Path(command)) or changed
    module.exit_json(changed=changed, command=str(link), user=user)


if __name__ == "__main__":
    main()
