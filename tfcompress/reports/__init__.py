"""What a run leaves to read: the report, its JSON format, its tables and page, and the device's measurements."""
