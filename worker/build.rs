//! Compiles the C++ shim and its kernels against libtorch and tells every binary and test where libtorch lies at run time.

use std::env;
use std::path::PathBuf;

fn main() {
    println!("cargo:rerun-if-changed=build.rs");
    println!("cargo:rerun-if-changed=cpp");
    println!("cargo:rerun-if-env-changed=LIBTORCH");

    // torch-sys declares `links = "tch"`; cargo shows what it found to direct dependents only.
    let library = env::var_os("DEP_TCH_LIBTORCH_LIB").map(PathBuf::from).unwrap_or_default();
    let include = library.parent().map(|torch| torch.join("include")).unwrap_or_default();
    if !include.join("ATen/ATen.h").is_file() {
        panic!(
            "libtorch's headers are not in '{}': run `make libtorch`, which fetches libtorch 2.11.0 into .libtorch/, \
             or let LIBTORCH name a folder that holds its include/ and lib/",
            include.display()
        );
    }

    let shim = |file: &str, name: &str| {
        cc::Build::new()
            .cpp(true)
            .std("c++17")
            .opt_level(2)
            .warnings(false) // of libtorch's headers
            .flag("-fopenmp") // without it `at::parallel_for` runs on one thread
            .define("_GLIBCXX_USE_CXX11_ABI", "1")
            .include(&include)
            .include(include.join("torch/csrc/api/include"))
            .file(file)
            .compile(name);
    };
    shim("cpp/shim.cpp", "grid_shim");
    shim("cpp/fused.cpp", "grid_fused");

    // The same loops once for each instruction set; which one runs is decided at run time.
    let kernels = |file: &str, name: &str, flags: &[&str]| {
        let mut build = cc::Build::new();
        build.cpp(true).std("c++17").opt_level(3).warnings(true);
        for flag in ["-fno-strict-aliasing", "-fno-math-errno", "-fno-trapping-math"].iter().chain(flags) {
            build.flag(flag);
        }
        build.file(file).compile(name);
    };
    if env::var("CARGO_CFG_TARGET_ARCH").as_deref() == Ok("x86_64") {
        let wide = ["-mavx512f", "-mavx512bw", "-mavx512vl", "-mavx512dq", "-mavx512bf16", "-mfma"];
        kernels("cpp/kernels/level.cpp", "grid_kernels_avx512", &wide);
        kernels("cpp/kernels/level.cpp", "grid_kernels_avx2", &["-mavx2", "-mfma"]);
    }
    kernels("cpp/kernels/choose.cpp", "grid_kernels", &[]);

    // libtorch's own OpenMP: a second one would bring a second pool of threads.
    let files = std::fs::read_dir(&library).into_iter().flatten().flatten().map(|entry| entry.path());
    let is_openmp = |path: &PathBuf| path.file_name().is_some_and(|name| name.to_string_lossy().starts_with("libgomp"));
    match files.into_iter().find(is_openmp) {
        Some(path) => println!("cargo:rustc-link-arg={}", path.display()),
        None => println!("cargo:rustc-link-arg=-lgomp"),
    }
    println!("cargo:rustc-link-arg=-Wl,-rpath,{}", library.display());
    // MKL inside libtorch asks this function of ours (see ml::runtime), so the executable must show it.
    println!("cargo:rustc-link-arg=-Wl,--export-dynamic-symbol=mkl_serv_intel_cpu_true");
}
