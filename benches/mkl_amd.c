/* Preloaded into PyTorch, this makes MKL take its AVX paths on AMD processors, as in grid-worker (GRID_MKL_AMD in
   worker/src/ml/runtime.rs). It is part of what "tuned" means in benches/run.py. */
int mkl_serv_intel_cpu_true(void) { return 1; }
