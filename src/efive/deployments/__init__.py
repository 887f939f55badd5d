"""Models at work: engines in processes of their own, fed from one queue each, started and stopped while others run."""
