"""The command line: one file per command, one frozen config dataclass whose fields are its flags."""
