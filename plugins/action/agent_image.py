"""agent_image: names the agent's container image, and makes what it is built from."""

from __future__ import annotations

import tarfile
from pathlib import Path
from typing import Any

from ansible.errors import AnsibleActionFail
from ansible.plugins.action import ActionBase
from ansible.utils.display import Display


class ActionModule(ActionBase):
    """Runs on the controller, once for all hosts.

    Returns key (of all that decides the image), context (an archive of what docker build needs)
    and archive (where a saved image is kept, there or not).
    """

    TRANSFERS_FILES = False
    _supports_check_mode = True

    def run(
        self, tmp: str | None = None, task_vars: dict[str, Any] | None = None
    ) -> dict[str, Any]:
        result: dict[str, Any] = super().run(tmp, task_vars)
        _, args = self.validate_argument_spec(
            {
                "project": {"type": "path", "required": True},
                "store": {"type": "path", "required": True},
                "base": {"type": "str", "required": True},
                "python": {"type": "str", "required": True},
            }
        )
        from loadfleet_aggregator.image import image_context, image_key
        from loadfleet_aggregator.wheelhouse import WheelhouseError

        project = Path(args["project"]).resolve()
        store = (project / args["store"]).resolve()
        key = image_key(project, args["python"], args["base"])
        context = store / f"{key}.context.tar"
        result.update(
            changed=False, key=key, context=str(context), archive=str(store / f"{key}.tar.gz")
        )
        if self._task.check_mode or context.is_file():
            return result
        try:
            _, folder = image_context(
                project, args["python"], args["base"], store, Display().display
            )
            _pack(folder, context)
        except (WheelhouseError, OSError) as error:
            raise AnsibleActionFail(str(error)) from error
        result.update(changed=True)
        return result


def _pack(folder: Path, target: Path) -> None:
    temporary = target.with_suffix(".tmp")
    with tarfile.open(temporary, "w") as archive:
        for path in sorted(folder.iterdir()):
            archive.add(path, arcname=path.name)
    temporary.replace(target)
