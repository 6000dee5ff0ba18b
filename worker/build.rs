//! Compiles the C++ shim against libtorch and tells every binary and test where libtorch lies at run time.

use std::env;
use std::path::PathBuf;

fn main() {
    println!("cargo:rerun-if-changed=build.rs");
    println!("cargo:rerun-if-changed=cpp/shim.cpp");
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

    cc::Build::new()
        .cpp(true)
        .std("c++17")
        .opt_level(2)
        .warnings(false) // of libtorch's headers
        .define("_GLIBCXX_USE_CXX11_ABI", "1")
        .include(&include)
        .include(include.join("torch/csrc/api/include"))
        .file("cpp/shim.cpp")
        .compile("grid_shim");

    println!("cargo:rustc-link-arg=-Wl,-rpath,{}", library.display());
    // MKL inside libtorch asks this function of ours (see ml::runtime), so the executable must show it.
    println!("cargo:rustc-link-arg=-Wl,--export-dynamic-symbol=mkl_serv_intel_cpu_true");
}
