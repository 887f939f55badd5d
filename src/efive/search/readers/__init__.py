"""Reading files of many kinds as documents."""
