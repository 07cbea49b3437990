//! Says which directories are packed into the program: `include_dir!` does not tell cargo, which would not notice a file
//! that is new there.

fn main() {
    for directory in ["samples", "../../guest-sdk", "../../wit"] {
        println!("cargo::rerun-if-changed={directory}");
    }
}
