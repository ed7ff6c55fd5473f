//! `#[derive(Ports)]`.

use proc_macro2::TokenStream;
use quote::quote;
use syn::{Data, DeriveInput, Error, Fields, Result};

pub fn derive(input: &DeriveInput) -> Result<TokenStream> {
    let Data::Struct(data) = &input.data else {
        return Err(Error::new_spanned(&input.ident, "ports are the fields of a struct"));
    };
    let fields = match &data.fields {
        Fields::Named(fields) => &fields.named,
        Fields::Unit => return Err(Error::new_spanned(&input.ident, "write `struct Ports {}` for no ports")),
        Fields::Unnamed(fields) => return Err(Error::new_spanned(fields, "each port needs a name")),
    };
    if !input.generics.params.is_empty() {
        return Err(Error::new_spanned(&input.generics, "the ports of a program are known when it is built"));
    }
    let name = &input.ident;
    let idents: Vec<_> = fields.iter().flat_map(|field| &field.ident).collect();
    let names: Vec<_> =
        idents.iter().map(|ident| ident.to_string().replace("r#", "").replace('_', "-")).collect();
    let types: Vec<_> = fields.iter().map(|field| &field.ty).collect();
    Ok(quote! {
        impl ::solum::port::Ports for #name {
            const PORTS: &'static [::solum::port::StaticPort] = &[
                #(::solum::port::declare::<#types>(#names)),*
            ];

            fn plug(
                world: &mut dyn ::solum::port::World,
            ) -> ::core::result::Result<Self, ::solum::port::PlugError> {
                ::core::result::Result::Ok(Self {
                    #(#idents: <#types as ::solum::port::Port>::plug(world, #names)?),*
                })
            }
        }
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn complaint(text: &str) -> String {
        derive(&syn::parse_str(text).unwrap()).unwrap_err().to_string()
    }

    #[test]
    fn what_cannot_be_ports_is_named() {
        assert_eq!(complaint("enum Ports { A }"), "ports are the fields of a struct");
        assert_eq!(complaint("struct Ports(Disk);"), "each port needs a name");
        assert_eq!(complaint("struct Ports;"), "write `struct Ports {}` for no ports");
        assert_eq!(
            complaint("struct Ports<T> { a: T }"),
            "the ports of a program are known when it is built"
        );
    }
}
