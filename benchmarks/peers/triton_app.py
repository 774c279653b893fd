"""Triton: the server in the package `nvidia-pytriton`, with one model of its Python backend."""

import os
import sys
import sysconfig
from contextlib import suppress
from pathlib import Path

BIN = Path(sys.executable).parent
SERVER = Path(sysconfig.get_path("purelib")) / "pytriton" / "tritonserver"

# The package has a build of the stub, the program that runs the model, for each Python version;
# the backend starts the one in its own folder, with the environment of `python3` on the path.
with suppress(FileExistsError):
    (SERVER / "backends/python/triton_python_backend_stub").symlink_to(
        SERVER / f"python_backend_stubs/{sysconfig.get_python_version()}/triton_python_backend_stub"
    )
os.environ["PATH"] = f"{BIN}:{os.environ['PATH']}"
os.environ["LD_LIBRARY_PATH"] = sysconfig.get_config_var("LIBDIR")
os.execv(  # noqa: S606
    SERVER / "bin/tritonserver",
    [
        "tritonserver",
        f"--model-repository={Path(__file__).with_name('triton')}",
        f"--backend-directory={SERVER / 'backends'}",
        "--http-address=127.0.0.1",
        f"--http-port={os.environ['PORT']}",
        "--allow-grpc=false",
        "--allow-metrics=false",
    ],
)
