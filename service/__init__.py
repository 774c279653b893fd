"""The service around the model: settings, SQL, HTTP and processes."""

import os

# numpy reads these when it is imported. BLAS gets one thread: several worker processes with
# threads of their own already use all cores.
for variable in ("OPENBLAS_NUM_THREADS", "OMP_NUM_THREADS", "MKL_NUM_THREADS"):
    os.environ.setdefault(variable, "1")
