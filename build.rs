//! Builds the program anew when a migration is added: `sqlx::migrate!` sees only those there at compile time.

fn main() {
    println!("cargo:rerun-if-changed=migrations");
    println!("cargo:rerun-if-changed=build.rs");
    println!("cargo:rerun-if-env-changed=GRID_COMMIT");
}
