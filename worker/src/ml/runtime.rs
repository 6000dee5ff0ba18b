//! The process around the tensors: memory allocator, MKL's path, CUDA backend, version, device, threads.
//!
//! | variable | meaning |
//! |---|---|
//! | `GRID_MKL_AMD` | `1` lets MKL take its AVX path on any CPU, `0` leaves MKL's own choice, `auto` (default) takes it on AMD CPUs with AVX-512, where it more than doubles the speed of float32 products |

use std::ffi::c_int;
use std::sync::OnceLock;

use libmimalloc_sys::{mi_option_set, mi_option_t, mi_option_use_numa_nodes};
use tch::{Cuda, Device};

use super::error::Error;
use super::shim;

pub use super::shim::{Memory, empty_cache, memory};

/// The libtorch that this program is built for.
pub const TORCH_VERSION: &str = "2.11.0";

/// `mi_option_purge_delay`, which the crate has no name for.
const PURGE_DELAY: mi_option_t = mi_option_use_numa_nodes - 1;

/// What a training step allocates and frees again, it should get from the same pages: first line of every `main`.
///
/// mimalloc takes the place of libc's `malloc` for everything in this process, libtorch included, and keeps its pages.
/// glibc maps every large tensor anew, and the kernel clears its pages at each step (15-50 % of the time); where it is
/// told to keep them, it does not find aligned blocks again (its bug 14581), so that tensors of changing shapes take ten
/// times the memory. Must run before a second thread or any tensor exists.
pub fn prepare_process() {
    // SAFETY: mi_option_set only sets a number; setenv is called while there is one thread.
    unsafe {
        mi_option_set(PURGE_DELAY, -1);
        // Without it cuBLAS may choose another summation order from run to run.
        libc::setenv(c"CUBLAS_WORKSPACE_CONFIG".as_ptr(), c":4096:8".as_ptr(), 0);
    }
    std::hint::black_box(mkl_serv_intel_cpu_true as extern "C" fn() -> c_int);
}

/// Answers MKL's question whether this is "an Intel CPU", on which MKL takes its AVX2 and AVX-512 paths.
///
/// libtorch_cpu holds MKL statically but looks this symbol up, and an executable's own definition comes first. See
/// `GRID_MKL_AMD` above. It is an override of a vendor's check: benchmarks must say whether it was on.
#[unsafe(no_mangle)]
pub extern "C" fn mkl_serv_intel_cpu_true() -> c_int {
    static ANSWER: OnceLock<bool> = OnceLock::new();
    c_int::from(*ANSWER.get_or_init(|| match std::env::var("GRID_MKL_AMD").as_deref() {
        Ok("1") => true,
        Ok("0") => vendor() == *b"GenuineIntel",
        _ => vendor() == *b"GenuineIntel" || (vendor() == *b"AuthenticAMD" && has_avx512()),
    }))
}

#[cfg(target_arch = "x86_64")]
fn vendor() -> [u8; 12] {
    let leaf = std::arch::x86_64::__cpuid(0);
    let mut name = [0; 12];
    for (bytes, register) in name.chunks_exact_mut(4).zip([leaf.ebx, leaf.edx, leaf.ecx]) {
        bytes.copy_from_slice(&register.to_le_bytes());
    }
    name
}

#[cfg(target_arch = "x86_64")]
fn has_avx512() -> bool {
    is_x86_feature_detected!("avx512f")
}

#[cfg(not(target_arch = "x86_64"))]
fn vendor() -> [u8; 12] {
    [0; 12]
}

#[cfg(not(target_arch = "x86_64"))]
fn has_avx512() -> bool {
    false
}

/// Loads libtorch's CUDA half where there is one, and says whether it did.
///
/// The linker drops it as unused, and libtorch looks for it once: call this before any question about CUDA.
pub fn load_cuda_backend() -> bool {
    static LOADED: OnceLock<bool> = OnceLock::new();
    // SAFETY: a NUL-terminated name; the library's initialisers are libtorch's own.
    *LOADED.get_or_init(|| {
        !unsafe { libc::dlopen(c"libtorch_cuda.so".as_ptr(), libc::RTLD_NOW | libc::RTLD_GLOBAL) }.is_null()
    })
}

/// Refuses every libtorch but [`TORCH_VERSION`]; returns the one found.
///
/// Another version may load and then read garbage, because tch calls C++ by layout.
pub fn check_version() -> Result<String, Error> {
    let configuration = shim::configuration()?;
    let found = version_in(&configuration).unwrap_or("of an unknown version").to_owned();
    if found == TORCH_VERSION { Ok(found) } else { Err(Error::Version { found, wanted: TORCH_VERSION }) }
}

fn version_in(configuration: &str) -> Option<&str> {
    let (_, rest) = configuration.split_once("TORCH_VERSION=")?;
    rest.split([',', '+', '\n', ' ']).next()
}

/// The device called `cpu` or `cuda:N`, if it is there.
pub fn device(name: &str) -> Result<Device, Error> {
    let refuse = |reason: String| Error::Device { name: name.to_owned(), reason };
    if name == "cpu" {
        return Ok(Device::Cpu);
    }
    let index: usize = name
        .strip_prefix("cuda:")
        .and_then(|number| number.parse().ok())
        .ok_or_else(|| refuse("devices are called 'cpu' or 'cuda:0', 'cuda:1', ...".to_owned()))?;
    if !load_cuda_backend() {
        return Err(refuse(format!(
            "this libtorch has no CUDA half (libtorch_cuda.so): run `make libtorch DEVICE=cuda`, or let \
             LD_LIBRARY_PATH name the lib folder of a CUDA build of torch {TORCH_VERSION}"
        )));
    }
    let count = usize::try_from(Cuda::device_count()).unwrap_or(0);
    if index >= count {
        return Err(refuse(format!(
            "there are {count} CUDA devices here (nvidia-smi and CUDA_VISIBLE_DEVICES tell more)"
        )));
    }
    Ok(Device::Cuda(index))
}

/// Settles threads and exactness for this process: so many threads within an operation, operations one by one,
/// float32 products in full, repeatable kernels.
///
/// The number of threads changes the last bits of float32 results, so it belongs into the record of an attempt.
pub fn configure(threads: u32) -> Result<(), Error> {
    static INTEROP: OnceLock<()> = OnceLock::new();
    INTEROP.get_or_init(|| tch::set_num_interop_threads(1)); // libtorch allows it once
    tch::set_num_threads(i32::try_from(threads.max(1)).unwrap_or(i32::MAX));
    shim::set_exact(true)
}

#[cfg(test)]
mod tests {
    use libmimalloc_sys::{mi_is_in_heap_region, mi_option_get};

    use super::*;

    #[test]
    fn the_loaded_libtorch_is_the_one_we_were_built_for() {
        assert_eq!(check_version().unwrap(), TORCH_VERSION);
    }

    /// Linking alone decides whose malloc libtorch calls.
    #[test]
    fn tensors_lie_in_memory_of_mimalloc() {
        prepare_process();
        // SAFETY: both read numbers only.
        let (purge, within) = unsafe {
            let tensor = tch::Tensor::zeros([1 << 20], (tch::Kind::Float, Device::Cpu));
            (mi_option_get(PURGE_DELAY), mi_is_in_heap_region(tensor.data_ptr()))
        };
        assert!(within, "libtorch has another malloc");
        assert_eq!(purge, -1);
    }

    #[test]
    fn versions_are_read_from_the_build_settings() {
        assert_eq!(version_in("...\n  - Build settings: A=1, TORCH_VERSION=2.13.0, USE_CUDA=ON"), Some("2.13.0"));
        assert_eq!(version_in("TORCH_VERSION=2.11.0+cu130\n"), Some("2.11.0"));
        assert_eq!(version_in("nothing"), None);
        let refusal = Error::Version { found: "2.13.0".into(), wanted: TORCH_VERSION }.to_string();
        assert!(refusal.starts_with("libtorch 2.13.0 was loaded, but this program is made for 2.11.0: run `make"));
    }

    #[test]
    fn devices_have_two_spellings() {
        assert_eq!(device("cpu").unwrap(), Device::Cpu);
        for wrong in ["gpu", "cuda", "cuda:", "cuda:x", "CPU", ""] {
            assert!(device(wrong).unwrap_err().to_string().contains("devices are called 'cpu' or 'cuda:0'"), "{wrong}");
        }
        assert!(device("cuda:999").is_err());
    }
}
