/* Preloaded into PyTorch, it makes MKL take its AVX paths on an AMD processor, as grid-worker does for itself
   (GRID_MKL_AMD in worker/src/ml/runtime.rs): what "equally tuned" means in benches/run.py. */
int mkl_serv_intel_cpu_true(void) { return 1; }
