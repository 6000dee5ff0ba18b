//! Compiles the C++ shim and its kernels against libtorch, and tells every binary and test where libtorch is at run time.

use std::env;
use std::path::PathBuf;

fn main() {
    println!("cargo:rerun-if-changed=build.rs");
    println!("cargo:rerun-if-changed=cpp");
    println!("cargo:rerun-if-env-changed=LIBTORCH");

    // torch-sys declares `links = "tch"`. Cargo passes the location that it found to direct dependents only.
    let library = env::var_os("DEP_TCH_LIBTORCH_LIB").map(PathBuf::from).unwrap_or_default();
    let include = library.parent().map(|torch| torch.join("include")).unwrap_or_default();
    if !include.join("ATen/ATen.h").is_file() {
        panic!(
            "the headers of libtorch are not in '{}': run `make libtorch`, which fetches libtorch 2.11.0 into \
             .libtorch/, or set LIBTORCH to a folder that contains its include/ and lib/",
            include.display()
        );
    }

    let shim = |file: &str, name: &str| {
        cc::Build::new()
            .cpp(true)
            .std("c++17")
            .opt_level(2)
            .warnings(false) // the headers of libtorch cause many
            .flag("-fopenmp") // without this flag, `at::parallel_for` runs on one thread
            .define("_GLIBCXX_USE_CXX11_ABI", "1")
            .include(&include)
            .include(include.join("torch/csrc/api/include"))
            .file(file)
            .compile(name);
    };
    shim("cpp/shim.cpp", "grid_shim");
    shim("cpp/fused.cpp", "grid_fused");
    shim("cpp/generation.cpp", "grid_generation");

    // The same loops are compiled for each instruction set; dispatch.cpp chooses one at run time.
    let kernels = |file: &str, name: &str, flags: &[&str]| {
        let mut build = cc::Build::new();
        build.cpp(true).std("c++17").opt_level(3).warnings(true);
        for flag in ["-fno-strict-aliasing", "-fno-math-errno", "-fno-trapping-math"].iter().chain(flags) {
            build.flag(flag);
        }
        build.file(file).compile(name);
    };
    if env::var("CARGO_CFG_TARGET_ARCH").as_deref() == Ok("x86_64") {
        let avx512 = ["-mavx512f", "-mavx512bw", "-mavx512vl", "-mavx512dq", "-mavx512bf16", "-mfma"];
        kernels("cpp/kernels/isa.cpp", "grid_kernels_avx512", &avx512);
        kernels("cpp/kernels/isa.cpp", "grid_kernels_avx2", &["-mavx2", "-mfma"]);
    }
    kernels("cpp/kernels/dispatch.cpp", "grid_kernels", &[]);

    // Link the OpenMP library of libtorch, because a second one would start a second pool of threads.
    let files = std::fs::read_dir(&library).into_iter().flatten().flatten().map(|entry| entry.path());
    let is_openmp = |path: &PathBuf| path.file_name().is_some_and(|name| name.to_string_lossy().starts_with("libgomp"));
    match files.into_iter().find(is_openmp) {
        Some(path) => println!("cargo:rustc-link-arg={}", path.display()),
        None => println!("cargo:rustc-link-arg=-lgomp"),
    }
    println!("cargo:rustc-link-arg=-Wl,-rpath,{}", library.display());
    // MKL in libtorch calls this function of the executable (see ml::runtime), which must therefore export it.
    println!("cargo:rustc-link-arg=-Wl,--export-dynamic-symbol=mkl_serv_intel_cpu_true");
}
