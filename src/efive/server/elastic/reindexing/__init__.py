"""Work on many documents at once, as tasks that can be watched and cancelled."""
