//! The migrations are embedded in the binary; without this, cargo would not see new ones.

fn main() {
    println!("cargo:rerun-if-changed=migrations");
}
