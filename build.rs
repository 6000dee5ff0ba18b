//! Rebuilds the crate when a migration is added, because `sqlx::migrate!` embeds the files that exist at compile time.

fn main() {
    println!("cargo:rerun-if-changed=migrations");
    println!("cargo:rerun-if-changed=build.rs");
    println!("cargo:rerun-if-env-changed=GRID_COMMIT");
}
