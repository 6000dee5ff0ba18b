//! The process: memory allocator, code path of MKL, CUDA backend, version of libtorch, devices, threads.
//!
//! | variable | meaning |
//! |---|---|
//! | `GRID_MKL_AMD` | `1` makes MKL use its AVX code on any CPU, `0` leaves MKL its own choice, `auto` (the default) makes it use AVX on AMD CPUs with AVX-512, where float32 products are then more than twice as fast |

use std::ffi::c_int;
use std::sync::OnceLock;

use libmimalloc_sys::{mi_option_set, mi_option_t, mi_option_use_numa_nodes};
use tch::{Cuda, Device};

use super::error::Error;
use super::{shim, waiting};

pub use super::shim::{DeviceMemory, device_memory, empty_cache};

/// The version of libtorch that this program is built for.
pub const TORCH_VERSION: &str = "2.11.0";

/// `mi_option_purge_delay`, which `libmimalloc_sys` does not declare.
const PURGE_DELAY: mi_option_t = mi_option_use_numa_nodes - 1;

/// Configures the memory allocator. Must be the first line of every `main`, before a second thread or any tensor exists.
///
/// mimalloc replaces libc's `malloc` for everything in this process, libtorch included, and keeps its pages, so that each
/// training step gets the pages that the previous one freed. glibc maps the pages of every large tensor again, and the
/// kernel clears them at each step (15-50 % of the time). If glibc is configured to keep its pages, it does not find
/// aligned blocks again (its bug 14581), and tensors of changing shapes take ten times the memory.
pub fn prepare_process() {
    // SAFETY: mi_option_set only sets a number; setenv is called while there is one thread.
    unsafe {
        mi_option_set(PURGE_DELAY, -1);
        // Without this variable, cuBLAS may choose another summation order in each run.
        libc::setenv(c"CUBLAS_WORKSPACE_CONFIG".as_ptr(), c":4096:8".as_ptr(), 0);
    }
    std::hint::black_box(mkl_serv_intel_cpu_true as extern "C" fn() -> c_int);
}

/// Tells MKL whether this is an Intel CPU, on which MKL uses its AVX2 and AVX-512 code.
///
/// MKL is linked statically into libtorch_cpu, which nevertheless looks this symbol up dynamically, and the definition in
/// an executable comes first. `GRID_MKL_AMD` (see above) controls the answer. Since this overrides a check of the vendor,
/// benchmarks must report the setting.
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

/// Loads the CUDA library of libtorch, if it is installed, and returns whether it is loaded.
///
/// The linker drops this library as unused, and libtorch looks for it only once. Call this before any other function that
/// concerns CUDA.
pub fn load_cuda_backend() -> bool {
    static LOADED: OnceLock<bool> = OnceLock::new();
    *LOADED.get_or_init(|| {
        // SAFETY: the name is NUL-terminated, and the initializers of the library are those of libtorch.
        !unsafe { libc::dlopen(c"libtorch_cuda.so".as_ptr(), libc::RTLD_NOW | libc::RTLD_GLOBAL) }.is_null()
    })
}

/// Checks that the loaded libtorch is version [`TORCH_VERSION`], and returns the version.
///
/// tch depends on the memory layout of C++ objects, so another version might load and then compute nonsense.
///
/// # Errors
/// If another version was loaded.
pub fn check_version() -> Result<String, Error> {
    let configuration = shim::configuration()?;
    let found = version_in(&configuration).unwrap_or("of an unknown version").to_owned();
    if found == TORCH_VERSION { Ok(found) } else { Err(Error::Version { found, wanted: TORCH_VERSION }) }
}

fn version_in(configuration: &str) -> Option<&str> {
    let (_, rest) = configuration.split_once("TORCH_VERSION=")?;
    rest.split([',', '+', '\n', ' ']).next()
}

/// The device with this name, `cpu` or `cuda:N`.
///
/// # Errors
/// If there is no such device.
pub fn device(name: &str) -> Result<Device, Error> {
    let refuse = |reason: String| Error::Device { name: name.to_owned(), reason };
    if name == "cpu" {
        return Ok(Device::Cpu);
    }
    let index: usize = name
        .strip_prefix("cuda:")
        .and_then(|number| number.parse().ok())
        .ok_or_else(|| refuse("the name of a device is 'cpu' or 'cuda:0', 'cuda:1', ...".to_owned()))?;
    if !load_cuda_backend() {
        return Err(refuse(format!(
            "this libtorch was built without CUDA (there is no libtorch_cuda.so): run `make libtorch DEVICE=cuda`, or \
             set LD_LIBRARY_PATH to the lib folder of a CUDA build of torch {TORCH_VERSION}"
        )));
    }
    let count = usize::try_from(Cuda::device_count()).unwrap_or(0);
    if index >= count {
        return Err(refuse(format!("this machine has {count} CUDA devices (see nvidia-smi and CUDA_VISIBLE_DEVICES)")));
    }
    Ok(Device::Cuda(index))
}

/// Configures libtorch for this process: the number of threads within an operation, one operation at a time, full float32
/// products, deterministic kernels.
///
/// The number of threads changes the last bits of float32 results, so it must be recorded with every attempt.
///
/// # Errors
/// If libtorch fails.
pub fn configure(threads: u32) -> Result<(), Error> {
    static INTEROP: OnceLock<()> = OnceLock::new();
    INTEROP.get_or_init(|| tch::set_num_interop_threads(1)); // libtorch allows a single call
    tch::set_num_threads(i32::try_from(threads.max(1)).unwrap_or(i32::MAX));
    shim::set_exact(true)?;
    waiting::adapt(threads);
    match shim::instruction_set() {
        Some(name) => tracing::info!(threads, "fused CPU kernels for {name}"),
        None => tracing::info!(threads, "no fused kernels for this CPU: using the operations of libtorch"),
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use libmimalloc_sys::{mi_is_in_heap_region, mi_option_get};

    use super::*;

    #[test]
    fn the_loaded_libtorch_is_the_expected_one() {
        assert_eq!(check_version().unwrap(), TORCH_VERSION);
    }

    /// The link order alone decides which malloc libtorch calls.
    #[test]
    fn tensors_are_allocated_by_mimalloc() {
        prepare_process();
        // SAFETY: both functions only read numbers.
        let (purge, within) = unsafe {
            let tensor = tch::Tensor::zeros([1 << 20], (tch::Kind::Float, Device::Cpu));
            (mi_option_get(PURGE_DELAY), mi_is_in_heap_region(tensor.data_ptr()))
        };
        assert!(within, "libtorch calls another malloc");
        assert_eq!(purge, -1);
    }

    #[test]
    fn versions_are_read_from_the_build_settings() {
        assert_eq!(version_in("...\n  - Build settings: A=1, TORCH_VERSION=2.13.0, USE_CUDA=ON"), Some("2.13.0"));
        assert_eq!(version_in("TORCH_VERSION=2.11.0+cu130\n"), Some("2.11.0"));
        assert_eq!(version_in("nothing"), None);
        let refusal = Error::Version { found: "2.13.0".into(), wanted: TORCH_VERSION }.to_string();
        assert!(refusal.starts_with("libtorch 2.13.0 was loaded, but this program was built for 2.11.0: run `make"));
    }

    #[test]
    fn device_names_are_parsed() {
        assert_eq!(device("cpu").unwrap(), Device::Cpu);
        for wrong in ["gpu", "cuda", "cuda:", "cuda:x", "CPU", ""] {
            let refusal = device(wrong).unwrap_err().to_string();
            assert_eq!(refusal, format!("device '{wrong}': the name of a device is 'cpu' or 'cuda:0', 'cuda:1', ..."));
        }
        assert!(device("cuda:999").is_err());
    }
}
