//! The binary `creel`: reads the command line and hands over to the library.

fn main() -> std::process::ExitCode {
    creel_server::cli::main()
}
