//! The `ramand` binary: parses, calls, exits.

fn main() -> std::process::ExitCode {
    ramand::cli::main()
}
