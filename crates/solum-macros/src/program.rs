//! `#[program]`.

use proc_macro2::TokenStream;
use quote::quote;
use syn::{Error, FnArg, ItemFn, Result};

pub fn expand(arguments: &TokenStream, function: &ItemFn) -> Result<TokenStream> {
    if !arguments.is_empty() {
        return Err(Error::new_spanned(arguments, "`program` takes no arguments"));
    }
    let signature = &function.sig;
    let name = &signature.ident;
    if name == "main" {
        return Err(Error::new_spanned(name, "give the function the program's name; `main` is made of it"));
    }
    if let Some(keyword) = &signature.asyncness {
        return Err(Error::new_spanned(keyword, "a program is plain blocking code; wait with Clock::select"));
    }
    let ports = match signature.inputs.iter().collect::<Vec<_>>().as_slice() {
        [FnArg::Typed(argument)] => &argument.ty,
        _ => {
            return Err(Error::new_spanned(
                &signature.inputs,
                "a program takes its ports: fn name(ports: Ports)",
            ));
        }
    };
    Ok(quote! {
        #function

        fn main() -> ::std::process::ExitCode {
            const SIZE: usize = ::solum::program::padded_size::<#ports>();
            // SAFETY: the section holds nothing but this constant, laid out as an ELF note; nobody links against it.
            #[unsafe(link_section = ".note.solum")]
            #[used]
            static NOTE: ::solum::program::Note<SIZE> = ::solum::program::Note::<SIZE>::of::<#ports>();
            // Reading the note is what keeps it in the executable.
            ::core::hint::black_box(&NOTE);
            ::solum::program::main::<#ports, _>(#name)
        }
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn complaint(text: &str) -> String {
        expand(&TokenStream::new(), &syn::parse_str(text).unwrap()).unwrap_err().to_string()
    }

    #[test]
    fn what_cannot_be_a_program_is_named() {
        assert!(complaint("fn main(p: P) {}").starts_with("give the function the program's name"));
        assert!(complaint("async fn a(p: P) {}").starts_with("a program is plain blocking code"));
        assert!(complaint("fn a() {}").starts_with("a program takes its ports"));
        assert!(complaint("fn a(p: P, q: Q) {}").starts_with("a program takes its ports"));
    }
}
