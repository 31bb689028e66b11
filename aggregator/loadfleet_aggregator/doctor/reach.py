"""What ssh's words mean, and what to do about them."""

from __future__ import annotations

REMEDIES = (
    ("permission denied", "put your key into the user's authorized_keys there, or mend "
     "ansible_user or the key file"),
    ("host key verification failed", "log in once by hand to see and accept the host's key, or "
     "fill known_hosts"),
    ("remote host identification has changed", "the host was installed anew, or it is another one: "
     "then ssh-keygen -R its address"),
    ("could not resolve hostname", "mend ansible_host, or the name service"),
    ("connection refused", "start sshd there, or mend ansible_port"),
    ("no route to host", "is it switched on and its network up? mend ansible_host or the route"),
    ("timed out", "is it switched on? a firewall may drop the port; mend ansible_host"),
    ("unprotected private key", "chmod 600 the key file"),
    ("no such identity", "mend ansible_ssh_private_key_file"),
    ("sshpass", "install sshpass for a password, or use a key"),
)  # fmt: skip
"""Words of ssh in lower case, and what to do; the first that is found counts."""
ANYWAY = "try ssh -v to it by hand"
PREFIXES = (
    "Task failed: ",
    "Failed to connect to the host via ssh: ",
    "Data could not be sent to remote host ",
)


def reason(message: str) -> str:
    """ssh's own reason out of Ansible's sentence about it."""
    text = " ".join(message.split())
    for prefix in PREFIXES:
        text = text.removeprefix(prefix)
    return text


def remedy(message: str) -> str:
    lower = message.lower()
    return next((text for words, text in REMEDIES if words in lower), ANYWAY)
