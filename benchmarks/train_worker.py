"""One trainer in its own process and environment; the protocol and the limits on threads are worker.py's."""

import gc
import shutil
from typing import Any

from worker import Answer, serve


class TrainWorker:
    """Answers the parent's requests."""

    def train(self, kind: str, job: dict[str, Any]) -> Answer:
        """Train once from the model's first weights; see trainers/job.py for what comes back."""
        from trainers import runner
        from trainers.job import Job

        shutil.rmtree(job["scratch"], ignore_errors=True)
        try:
            return runner(kind)(Job(**job))
        finally:
            shutil.rmtree(job["scratch"], ignore_errors=True)
            gc.collect()

    def limits(self, threads: int, device: str) -> Answer:
        """Measure the machine's matrix products."""
        from engines.matmul import cuda_limits, limits

        return dict(limits(threads) if device == "cpu" else cuda_limits())


if __name__ == "__main__":
    serve(TrainWorker())
