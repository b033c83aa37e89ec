//! What a metadata field means, by its name.

use super::{FieldValues, Fields, words::fold};

/// What a field holds.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Role {
    Price,
    Stock,
    Colour,
    Size,
    Brand,
    Currency,
    /// Names the kind of product, which similarity finds better, or identifies it.
    Ignored,
    Other,
}

const PRICE: &[&str] =
    &["price", "preis", "prix", "precio", "prezzo", "prijs", "cena", "amount", "cost", "kosten"];
const OTHER_PRICE: &[&str] = &[
    "sale",
    "old",
    "list",
    "compare",
    "original",
    "was",
    "special",
    "net",
    "before",
    "purchase",
    "wholesale",
    "unit",
    "shipping",
    "msrp",
    "uvp",
    "min",
    "max",
];
const STOCK: &[&str] = &[
    "stock",
    "inventory",
    "quantity",
    "qty",
    "available",
    "availability",
    "instock",
    "bestand",
    "lager",
    "lagerbestand",
    "verfugbar",
    "verfugbarkeit",
    "verfuegbar",
    "existencias",
    "disponible",
    "disponibilidad",
    "disponibilite",
    "giacenza",
    "disponibile",
    "voorraad",
    "dostepnosc",
    "dostepny",
];
const COLOUR: &[&str] = &[
    "colour", "color", "colours", "colors", "farbe", "farben", "couleur", "colore", "kleur", "kolor", "barwa",
];
const SIZE: &[&str] =
    &["size", "sizes", "grosse", "groesse", "talla", "taille", "pointure", "taglia", "maat", "rozmiar"];
const BRAND: &[&str] = &[
    "brand",
    "marke",
    "marca",
    "marque",
    "merk",
    "marka",
    "manufacturer",
    "hersteller",
    "vendor",
    "maker",
    "fabricante",
    "fabricant",
    "producent",
];
const CURRENCY: &[&str] = &["currency", "wahrung", "waehrung", "moneda", "devise", "valuta", "waluta"];
const IGNORED: &[&str] = &[
    "category",
    "categories",
    "kategorie",
    "categoria",
    "categorie",
    "kategoria",
    "type",
    "typ",
    "tipo",
    "department",
    "collection",
    "family",
    "group",
    "sku",
    "id",
    "slug",
    "url",
    "link",
    "name",
    "title",
    "ean",
    "gtin",
    "mpn",
    "warranty",
    "garantie",
    "updated",
    "created",
    "date",
    "image",
    "tags",
];

impl Role {
    fn of(name: &str) -> Self {
        let folded = fold(name);
        let parts: Vec<_> = folded.split(|part: char| !part.is_alphanumeric()).collect();
        let has = |list: &[&str]| parts.iter().any(|part| list.contains(part));
        let roles = [
            (CURRENCY, Self::Currency),
            (COLOUR, Self::Colour),
            (BRAND, Self::Brand),
            (STOCK, Self::Stock),
            (PRICE, Self::Price),
            (SIZE, Self::Size),
            (IGNORED, Self::Ignored),
        ];
        roles.iter().find(|(names, _)| has(names)).map_or(Self::Other, |(_, role)| *role)
    }
}

impl Fields {
    /// The fields with a role, the plainest name first.
    pub(super) fn with_role(&self, role: Role) -> Vec<(&str, &FieldValues)> {
        let fields = self.0.iter().filter(|(name, _)| Role::of(name) == role);
        let mut fields: Vec<_> = fields.map(|(name, values)| (name.as_str(), values)).collect();
        fields.sort_by_key(|(name, _)| {
            let folded = fold(name);
            let is_other =
                folded.split(|part: char| !part.is_alphanumeric()).any(|part| OTHER_PRICE.contains(&part));
            (is_other, folded.contains("cost"), folded.len())
        });
        fields
    }
}
