//! `#[interface]`.

use proc_macro2::{Ident, Span, TokenStream};
use quote::{ToTokens, format_ident, quote};
use syn::parse::{Parse, ParseStream};
use syn::{
    Attribute, Error, FnArg, GenericArgument, ItemTrait, LitInt, Pat, PathArguments, ReceiverKind, Result,
    ReturnType, TraitItem, TraitItemFn, Type,
};

use crate::fingerprint;

/// The methods that a link has itself. They would be called instead of those of an interface.
const METHODS_OF_A_LINK: [&str; 4] = ["call", "into_caller", "server_epoch", "set_patience"];

/// `version = 2`, or nothing.
pub struct Arguments {
    version: u16,
}

impl Parse for Arguments {
    fn parse(input: ParseStream<'_>) -> Result<Self> {
        if input.is_empty() {
            return Ok(Self { version: 1 });
        }
        let word: Ident = input.parse()?;
        if word != "version" {
            return Err(Error::new_spanned(word, "write #[interface(version = 2)]"));
        }
        input.parse::<syn::Token![=]>()?;
        let number: LitInt = input.parse()?;
        Ok(Self { version: number.base10_parse()? })
    }
}

/// A method, taken apart.
struct Method<'a> {
    documentation: Vec<&'a Attribute>,
    name: &'a Ident,
    arguments: Vec<(&'a Ident, &'a Type)>,
    retry: bool,
    output: Output<'a>,
}

/// What a method gives.
enum Output<'a> {
    /// `Result<T, E>`: the service can answer with an error.
    Fallible(&'a Type, &'a Type),
    /// Anything else.
    Plain(TokenStream),
}

pub fn expand(arguments: &Arguments, item: &ItemTrait) -> Result<TokenStream> {
    if !item.generics.params.is_empty() || !item.supertraits.is_empty() {
        return Err(Error::new_spanned(&item.ident, "an interface has neither parameters nor supertraits"));
    }
    let methods = item.items.iter().map(method).collect::<Result<Vec<_>>>()?;
    if methods.is_empty() {
        return Err(Error::new_spanned(&item.ident, "an interface has at least one method"));
    }
    let (marker, service) = (marker(arguments, item, &methods), service(item, &methods));
    let calls = calls(item, &methods);
    Ok(quote! { #marker #service #calls })
}

fn method(item: &TraitItem) -> Result<Method<'_>> {
    let TraitItem::Fn(function) = item else {
        return Err(Error::new_spanned(item, "an interface has only methods"));
    };
    if let Some(body) = &function.default {
        return Err(Error::new_spanned(body, "a method of an interface has no body"));
    }
    let mut inputs = function.sig.inputs.iter();
    match inputs.next() {
        Some(FnArg::Receiver(receiver))
            if matches!(receiver.kind, ReceiverKind::Reference(_, _, Some(_))) => {}
        _ => return Err(Error::new_spanned(&function.sig, "a method of an interface begins with &mut self")),
    }
    let name = &function.sig.ident;
    if METHODS_OF_A_LINK.iter().any(|method| name == method) {
        let message = format!(
            "a link has a method `{name}` itself, which would be called instead: choose another name"
        );
        return Err(Error::new_spanned(name, message));
    }
    Ok(Method {
        documentation: function.attrs.iter().filter(|attribute| attribute.path().is_ident("doc")).collect(),
        name,
        arguments: inputs.map(argument).collect::<Result<_>>()?,
        retry: marked_retry(function)?,
        output: output(&function.sig.output),
    })
}

fn marked_retry(function: &TraitItemFn) -> Result<bool> {
    let mut marks = function.attrs.iter().filter(|attribute| !attribute.path().is_ident("doc"));
    let mark = match (marks.next(), marks.next()) {
        (Some(mark), None) => mark,
        (Some(_), Some(second)) => {
            return Err(Error::new_spanned(second, "one mark is enough: #[retry] or #[once]"));
        }
        (None, _) => {
            return Err(Error::new_spanned(
                &function.sig,
                "say what happens to a call whose server died: mark the method #[retry] or #[once]",
            ));
        }
    };
    match mark {
        _ if mark.path().is_ident("retry") => Ok(true),
        _ if mark.path().is_ident("once") => Ok(false),
        _ => Err(Error::new_spanned(mark, "a method is marked #[retry] or #[once]")),
    }
}

fn argument(input: &FnArg) -> Result<(&Ident, &Type)> {
    if let FnArg::Typed(argument) = input
        && let Pat::Ident(pattern) = &*argument.pat
    {
        if let Type::Reference(_) = &*argument.ty {
            return Err(Error::new_spanned(
                &argument.ty,
                "arguments travel, so they are values: String, not &str",
            ));
        }
        return Ok((&pattern.ident, &argument.ty));
    }
    Err(Error::new_spanned(input, "an argument is a name and a type"))
}

fn output(output: &ReturnType) -> Output<'_> {
    let ReturnType::Type(_, kind) = output else { return Output::Plain(quote! { () }) };
    if let Type::Path(path) = &**kind
        && let Some(last) = path.path.segments.last()
        && last.ident == "Result"
        && let PathArguments::AngleBracketed(parameters) = &last.arguments
        && let [GenericArgument::Type(value), GenericArgument::Type(error)] =
            parameters.args.iter().collect::<Vec<_>>().as_slice()
    {
        return Output::Fallible(value, error);
    }
    Output::Plain(kind.to_token_stream())
}

/// What both ends must agree on: names, order, types as they are written, and what may be repeated.
fn signature(methods: &[Method<'_>]) -> String {
    let method = |method: &Method<'_>| {
        let arguments: Vec<_> =
            method.arguments.iter().map(|(_, kind)| kind.to_token_stream().to_string()).collect();
        format!("{} {} ({}) -> {};", method.retry, method.name, arguments.join(","), method.wire())
    };
    methods.iter().map(method).collect()
}

impl Method<'_> {
    /// The type of the answer as it travels.
    fn wire(&self) -> TokenStream {
        match &self.output {
            Output::Fallible(value, error) => quote! { ::core::result::Result<#value, #error> },
            Output::Plain(value) => value.clone(),
        }
    }

    fn inputs(&self) -> TokenStream {
        let (names, types): (Vec<_>, Vec<_>) = self.arguments.iter().copied().unzip();
        quote! { #(#names: #types),* }
    }

    /// The arguments as they travel: a tuple, with a comma after its only member.
    fn tuple(&self) -> TokenStream {
        let names = self.arguments.iter().map(|(name, _)| name);
        quote! { (#(#names,)*) }
    }

    fn tuple_type(&self) -> TokenStream {
        let types = self.arguments.iter().map(|(_, kind)| kind);
        quote! { (#(#types,)*) }
    }
}

fn marker(arguments: &Arguments, item: &ItemTrait, methods: &[Method<'_>]) -> TokenStream {
    let (name, visibility) = (&item.ident, &item.vis);
    let documentation = item.attrs.iter();
    let text = name.to_string();
    let version = arguments.version;
    let fingerprint = fingerprint::of(&signature(methods));
    let service_trait = format_ident!("{name}Service");
    // Names that no argument of a method can be taken for.
    let [service, call, answer] =
        ["service", "call", "answer"].map(|name| Ident::new(name, Span::mixed_site()));
    let arms = methods.iter().zip(0u16..).map(|(method, number)| {
        let method_name = method.name;
        let (tuple, tuple_type) = (method.tuple(), method.tuple_type());
        let values = method.arguments.iter().map(|(name, _)| name);
        quote! {
            #number => {
                let #tuple: #tuple_type = #call.arguments()?;
                let #answer = #service.#method_name(#(#values),*);
                #call.answer(&#answer);
            }
        }
    });
    quote! {
        #(#documentation)*
        #[derive(Clone, Copy, Debug)]
        #visibility enum #name {}

        impl ::solum::link::Interface for #name {
            const ID: ::solum::port::InterfaceId =
                ::solum::port::InterfaceId { name: #text, version: #version, fingerprint: #fingerprint };
            type Service = dyn #service_trait;

            fn dispatch(
                #service: &mut (dyn #service_trait + 'static),
                #call: &mut ::solum::link::Call<'_>,
            ) -> ::solum::Result<()> {
                match #call.method {
                    #(#arms)*
                    _ => return ::core::result::Result::Err(#call.unknown()),
                }
                ::core::result::Result::Ok(())
            }
        }
    }
}

fn service(item: &ItemTrait, methods: &[Method<'_>]) -> TokenStream {
    let visibility = &item.vis;
    let service = format_ident!("{}Service", item.ident);
    let documentation = format!("Whoever serves [`{}`].", item.ident);
    let functions = methods.iter().map(|method| {
        let (documentation, name, inputs, output) =
            (&method.documentation, method.name, method.inputs(), method.wire());
        quote! { #(#documentation)* fn #name(&mut self, #inputs) -> #output; }
    });
    quote! {
        #[doc = #documentation]
        #visibility trait #service { #(#functions)* }
    }
}

fn calls(item: &ItemTrait, methods: &[Method<'_>]) -> TokenStream {
    let (name, visibility) = (&item.ident, &item.vis);
    let calls = format_ident!("{name}Calls");
    let documentation = format!("The calls of [`{name}`], on a link.");
    let output = |method: &Method<'_>| match &method.output {
        Output::Fallible(value, error) => {
            quote! { ::core::result::Result<#value, ::solum::link::CallError<#error>> }
        }
        Output::Plain(value) => quote! { ::solum::Result<#value> },
    };
    let declarations = methods.iter().map(|method| {
        let (documentation, name, inputs, output) =
            (&method.documentation, method.name, method.inputs(), output(method));
        quote! { #(#documentation)* fn #name(&mut self, #inputs) -> #output; }
    });
    let definitions = methods.iter().zip(0u16..).map(|(method, number)| {
        let (name, inputs, tuple, retry) = (method.name, method.inputs(), method.tuple(), method.retry);
        let (output, wire) = (output(method), method.wire());
        let body = quote! { self.call::<_, #wire>(#number, #retry, &#tuple) };
        let body = match method.output {
            Output::Fallible(..) => quote! { #body?.map_err(::solum::link::CallError::Service) },
            Output::Plain(_) => body,
        };
        quote! { fn #name(&mut self, #inputs) -> #output { #body } }
    });
    quote! {
        #[doc = #documentation]
        #visibility trait #calls { #(#declarations)* }

        impl #calls for ::solum::link::Link<#name> { #(#definitions)* }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn expanded(text: &str) -> Result<TokenStream> {
        expand(&Arguments { version: 1 }, &syn::parse_str(text).unwrap())
    }

    fn complaint(text: &str) -> String {
        expanded(text).unwrap_err().to_string()
    }

    #[test]
    fn what_cannot_be_an_interface_is_named() {
        let table = [
            ("trait A {}", "an interface has at least one method"),
            (
                "trait A<T> { #[once] fn a(&mut self); }",
                "an interface has neither parameters nor supertraits",
            ),
            ("trait A { type B; }", "an interface has only methods"),
            ("trait A { #[once] fn a(&mut self) {} }", "a method of an interface has no body"),
            ("trait A { #[once] fn a(&self); }", "a method of an interface begins with &mut self"),
            (
                "trait A { fn a(&mut self); }",
                "say what happens to a call whose server died: mark the method #[retry] or #[once]",
            ),
            ("trait A { #[once] #[retry] fn a(&mut self); }", "one mark is enough: #[retry] or #[once]"),
            ("trait A { #[never] fn a(&mut self); }", "a method is marked #[retry] or #[once]"),
            (
                "trait A { #[once] fn a(&mut self, b: &str); }",
                "arguments travel, so they are values: String, not &str",
            ),
            (
                "trait A { #[once] fn call(&mut self); }",
                "a link has a method `call` itself, which would be called instead: choose another name",
            ),
        ];
        for (text, message) in table {
            assert_eq!(complaint(text), message, "{text}");
        }
    }

    #[test]
    fn the_methods_of_a_link_are_known() {
        let file = syn::parse_file(include_str!("../../solum/src/link.rs")).unwrap();
        let of_link = file.items.iter().filter_map(|item| match item {
            syn::Item::Impl(block) if block.trait_.is_none() => {
                block.self_ty.to_token_stream().to_string().starts_with("Link <").then_some(&block.items)
            }
            _ => None,
        });
        let mut methods: Vec<String> = of_link
            .flatten()
            .filter_map(|item| match item {
                syn::ImplItem::Fn(function) if function.sig.receiver().is_some() => {
                    Some(function.sig.ident.to_string())
                }
                _ => None,
            })
            .collect();
        methods.sort_unstable();
        assert_eq!(methods, METHODS_OF_A_LINK);
    }

    #[test]
    fn the_fingerprint_changes_with_everything_that_both_ends_must_agree_on() {
        let texts = [
            "trait A { #[once] fn a(&mut self, b: u8) -> u8; }",
            "trait A { #[retry] fn a(&mut self, b: u8) -> u8; }",
            "trait A { #[once] fn a(&mut self, b: u16) -> u8; }",
            "trait A { #[once] fn a(&mut self, b: u8) -> u16; }",
            "trait A { #[once] fn c(&mut self, b: u8) -> u8; }",
            "trait A { #[once] fn a(&mut self, b: u8) -> u8; #[once] fn d(&mut self); }",
        ];
        let mut seen: Vec<_> = texts
            .iter()
            .map(|text| {
                let item: ItemTrait = syn::parse_str(text).unwrap();
                let methods: Vec<_> = item.items.iter().map(|item| method(item).unwrap()).collect();
                fingerprint::of(&signature(&methods))
            })
            .collect();
        seen.sort_unstable();
        seen.dedup();
        assert_eq!(seen.len(), texts.len());
        let renamed = "trait A { #[once] fn a(&mut self, other: u8) -> u8; }";
        let item: ItemTrait = syn::parse_str(renamed).unwrap();
        let methods: Vec<_> = item.items.iter().map(|item| method(item).unwrap()).collect();
        assert!(
            seen.contains(&fingerprint::of(&signature(&methods))),
            "the names of arguments do not travel"
        );
    }
}
