//! The environment with which workers start, so that their OpenMP runtime (libgomp) can be told how long to spin.

/// The variable and value that make threads of a worker spin for about 3 ms, the default of libgomp, before they sleep.
pub const SPIN_COUNT: (&str, &str) = ("GOMP_SPINCOUNT", "300000");

/// The variable and value with which libgomp spins 1,000 times where it manages more threads than there are CPUs.
pub const WAIT_POLICY: (&str, &str) = ("OMP_WAIT_POLICY", "ACTIVE");
