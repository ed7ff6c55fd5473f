//! The attributes of the SDK: `program`, `interface`, and the derive `Ports`.
//!
//! Use them through the crate `solum`.

mod fingerprint;
mod interface;
mod ports;
mod program;

use proc_macro::TokenStream;

/// Declares the ports of a program: each field of the struct is one, with the field's name.
///
/// The types are those of `solum` (`Disk`, `Link<…>`, `Serve<…>` and so on), or `Option` and `Vec` of one that is plugged.
#[proc_macro_derive(Ports)]
pub fn derive_ports(input: TokenStream) -> TokenStream {
    let input = syn::parse_macro_input!(input as syn::DeriveInput);
    ports::derive(&input).unwrap_or_else(|error| error.to_compile_error()).into()
}

/// Makes a function the program: `fn name(ports: Ports) -> Result<(), impl Display>`.
///
/// The executable then declares its ports to the builder, and `main` plugs in what a supervisor handed over. An error is
/// the program's last line in the log, and its exit status is 1.
#[proc_macro_attribute]
pub fn program(arguments: TokenStream, item: TokenStream) -> TokenStream {
    let function = syn::parse_macro_input!(item as syn::ItemFn);
    program::expand(&arguments.into(), &function).unwrap_or_else(|error| error.to_compile_error()).into()
}

/// Makes a trait an interface between units.
///
/// `#[interface]` or `#[interface(version = 2)]` on a trait whose methods each begin with `&mut self`, take values that
/// serde can copy, and are marked:
///
/// - `#[retry]`: to do it twice is as good as to do it once, so a call whose server died is repeated with its successor;
/// - `#[once]`: it is never repeated, and the caller is told that the server is gone.
///
/// For `trait Files` this generates the type `Files`, which names the interface (`Link<Files>`, `Serve<Files>`), the trait
/// `FilesService` for whoever serves it, and the trait `FilesCalls` with the same methods for `Link<Files>`.
#[proc_macro_attribute]
pub fn interface(arguments: TokenStream, item: TokenStream) -> TokenStream {
    let arguments = syn::parse_macro_input!(arguments as interface::Arguments);
    let item = syn::parse_macro_input!(item as syn::ItemTrait);
    interface::expand(&arguments, &item).unwrap_or_else(|error| error.to_compile_error()).into()
}
