"""Who comes in and how much they may ask: the wall, accounts, sessions, limits and the audit log."""
