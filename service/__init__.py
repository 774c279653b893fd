"""The service: settings, SQL, HTTP and processes, around the model."""

import os

# One thread for BLAS, which is read when numpy is imported: the threads that matter are our own.
for variable in ("OPENBLAS_NUM_THREADS", "OMP_NUM_THREADS", "MKL_NUM_THREADS"):
    os.environ.setdefault(variable, "1")
