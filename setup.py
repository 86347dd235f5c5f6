"""Builds the one extension: _kernels.pyx once, the core files once per instruction set (see docs/design.md)."""
import os
import shlex
import subprocess
import sys
import sysconfig
import tempfile
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy
from Cython.Build import cythonize
from setuptools import Extension, setup
from setuptools.command.build_ext import build_ext
from setuptools.modified import newer_group

# Everything but the first line is there because gcc vectorises the kernels only with it, or to keep every bit the same
# in body, tail and scalar code; docs/design.md has the measurements.
FLAGS = ["-O3", "-g0", "-fvisibility=hidden", "-fno-lto", "-fno-math-errno", "-fno-trapping-math", "-ffp-contract=off"]
# The last group is gcc's only (clang's -fno-inline-functions takes `inline` too): what is to be inlined says so, and
# gcc's own choice beyond that made the wheel 0.34 MB larger and nothing faster.
KERNEL_FLAGS = [["-fopenmp-simd"], ["-funroll-loops", "--param", "max-unroll-times=2", "-fno-inline-functions"]]
# Where the compiler knows them (gcc from 12 on): without, gcc copies 32 bytes as two halves, and a vector on its way
# through memory is read whole before both have left the store buffer (kl_divergence of 1024x10 1.15 times as slow).
MORE_FLAGS = {"avx2": ["-mmove-max=256", "-mstore-max=256"]}
# Of one file of a level, for x86 CPUs from before 2013: 0.15 MB of the wheel, and 0.04 for loops of more than 8 steps
# left as loops (4: 0.14 MB, but 5 to 40 % slower; -O2: 0.26 MB, 10 to 50 % slower; 8: no difference). Rejected:
# -fno-forward-propagate for the maps of AVX-512, so that an operand that is needed twice is read once (sigmoid',
# softsign' of 2^20 float32 up to 1.2 times as slow where inputs lie off the line).
FILE_FLAGS = {("baseline", "fastact/_core_rows.c"): ["-fno-unroll-loops", "--param", "max-completely-peel-times=8"]}

# Best last. A name here is what FASTACT_ISA takes.
ISAS = {
    "x86_64": {
        "baseline": ["-march=x86-64", "-mtune=generic"],
        "avx2": ["-march=x86-64-v3"],
        "avx512": ["-march=x86-64-v4", "-mprefer-vector-width=512"],
    },
    "aarch64": {"neon": []},
}
CORE = ["fastact/_core_rows.c", "fastact/_core.c", "fastact/_core_losses.c"]     # the longest to compile first
ALIASES = {"amd64": "x86_64", "arm64": "aarch64"}

OPENMP = [(["-fopenmp"], ["-fopenmp"]), (["-Xpreprocessor", "-fopenmp"], ["-lomp"])]
STRIP = ["-Wl,--strip-all"]         # 23 kB of the wheel: the names of what is not exported
TRIVIAL = "int main(void) { return 0; }\n"
OPENMP_TEST = "#include <omp.h>\nint main(void) { return omp_get_max_threads() < 1; }\n"


def machine() -> str:
    name = sysconfig.get_platform().rsplit("-", 1)[-1].lower()
    return ALIASES.get(name, name)


class BuildPerIsa(build_ext):
    """Compiles the core files once per instruction set and links all objects into the extension."""

    def accepts(self, flags: list[str], link: list[str] | None = None, text: str = TRIVIAL) -> bool:
        """Whether the compiler takes these flags (and links with those of `link`)."""
        with tempfile.TemporaryDirectory() as folder:
            source = Path(folder, "probe.c")
            source.write_text(text)
            command = [*self.compiler.compiler_so, "-Werror", *flags, "-c", str(source), "-o", f"{folder}/probe.o"]
            if subprocess.run(command, capture_output=True, check=False).returncode:
                return False
            if link is None:
                return True
            where = shlex.split(os.environ.get("LDFLAGS", ""))   # setuptools gives them to linker_so only
            command = [*self.compiler.linker_exe, *where, f"{folder}/probe.o", *link, "-o", f"{folder}/probe"]
            return subprocess.run(command, capture_output=True, check=False).returncode == 0

    def build_extension(self, ext: Extension) -> None:
        if self.compiler.compiler_type != "unix":
            sys.exit("fastact needs gcc or clang: set CC, or build under WSL or MinGW-w64")
        if not self.force and not newer_group([*ext.sources, *ext.depends], self.get_ext_fullpath(ext.name)):
            return
        openmp = next(((c, li) for c, li in OPENMP if self.accepts(c, li, OPENMP_TEST)), ([], []))
        if not openmp[0]:
            self.warn("no OpenMP found: building a serial fastact")
        kernel_flags = [flag for group in KERNEL_FLAGS if self.accepts(group) for flag in group]
        known = ISAS.get(machine(), {"baseline": []})
        chosen = os.environ.get("FASTACT_BUILD_ISAS", "").split(",")
        known = {name: flags for name, flags in known.items() if name in chosen} or known
        isas = {name: flags for name, flags in known.items() if self.accepts(flags)}
        for name in known.keys() - isas.keys():
            self.warn(f"the compiler does not know the flags of {name}: building without")
        isas |= {name: isas[name] + more for name, more in MORE_FLAGS.items() if name in isas and self.accepts(more)}
        file_flags = {of: more for of, more in FILE_FLAGS.items() if self.accepts(more)}

        def compile_core(source: str, isa: str) -> list[str]:
            folder = f"{self.build_temp}/{isa}"
            flags = FLAGS + kernel_flags + isas[isa] + file_flags.get((isa, source), [])
            made = self.compiler.object_filenames([source], output_dir=folder)
            with_what, stamp = shlex.join([*self.compiler.compiler_so, *flags]), Path(made[0] + ".txt")
            if (not self.force and stamp.exists() and stamp.read_text() == with_what
                    and not newer_group([source, *CORE_DEPENDS], made[0])):
                return made         # minutes saved: each pip install writes _kernels.c anew
            stamp.unlink(missing_ok=True)
            self.compiler.compile([source], output_dir=folder, macros=[("FA_ISA", isa)], include_dirs=["include"],
                                  extra_postargs=flags)
            stamp.write_text(with_what)
            return made

        pairs = [(source, isa) for source in CORE for isa in isas]
        with ThreadPoolExecutor(len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else None) as pool:
            objects = [o for of_pair in pool.map(compile_core, *zip(*pairs, strict=True)) for o in of_pair]
        ext.extra_objects = objects
        ext.define_macros.append(("FA_ISAS", " ".join(f"FA_EACH({isa})" for isa in isas)))
        ext.extra_compile_args = FLAGS + openmp[0]
        ext.extra_link_args = openmp[1] + (STRIP if self.accepts([], STRIP) else [])
        super().build_extension(ext)


FILES = [path for folder in ("include/fastact", "fastact") for path in sorted(Path(folder).iterdir())]
CORE_DEPENDS = ["setup.py", *(str(path) for path in FILES if path.suffix in {".h", ".def"})]

kernels = Extension(
    "fastact._kernels",
    ["fastact/_kernels.pyx", "fastact/_limits.c"],
    include_dirs=["include", "fastact", numpy.get_include()],
    define_macros=[("NPY_NO_DEPRECATED_API", "NPY_2_0_API_VERSION"), ("NPY_TARGET_VERSION", "NPY_2_0_API_VERSION")],
    depends=[*CORE_DEPENDS, *CORE, *(str(path) for path in FILES if path.suffix == ".pxi")],
)

setup(ext_modules=cythonize([kernels]), cmdclass={"build_ext": BuildPerIsa})
