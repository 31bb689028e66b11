"""The hosts of an inventory, and commands on them, over SSH as Ansible reaches them or here."""
