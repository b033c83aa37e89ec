//! Words by which an answer marks a number as the customer's, in English, German, French and Spanish.
//!
//! Lists of words and phrases in lower case, separated by `", "`.

pub(super) fn phrases(list: &str) -> impl Iterator<Item = &str> {
    list.split(", ")
}

/// Words whose full stop ends no sentence.
pub(super) const ABBREVIATIONS: &str = "max, min, máx, mín, ca, approx, aprox, env, bzw, inkl";
/// Words after which another statement begins.
pub(super) const CONTRASTS: &str = "but, however, aber, sondern, jedoch, mais, pero, sino";
/// Words that continue the statement before the comma: "kein Zelt, das unter 300 € kostet".
pub(super) const RELATIVES: &str =
    "that, which, who, das, der, die, den, dem, welches, welche, welcher, qui, que, dont";
/// Words that join statements.
pub(super) const AND: &str = "and, und, et, y";

/// Words before an upper limit.
pub(super) const UPPER: &str = "under, below, beneath, within, less than, lower than, cheaper than, smaller than, \
    lighter than, up to, at most, maximum, maximum of, max, budget, budget of, budget is, limit of, \
    unter, weniger als, günstiger als, billiger als, kleiner als, leichter als, bis, bis zu, höchstens, maximal, innerhalb, \
    budget von, \
    moins de, sous, en dessous de, au-dessous de, jusqu'à, au plus, au maximum, budget de, \
    menos de, por debajo de, hasta, como máximo, máximo, presupuesto de";
/// Words before a lower limit.
pub(super) const LOWER: &str = "over, above, more than, larger than, bigger than, heavier than, at least, minimum, \
    minimum of, min, \
    über, mehr als, größer als, schwerer als, teurer als, mindestens, ab, oberhalb von, \
    plus de, au-dessus de, au moins, à partir de, au minimum, \
    más de, por encima de, al menos, como mínimo, mínimo, desde, a partir de";
/// Words after an upper limit.
pub(super) const UPPER_AFTER: &str = "or less, or under, or below, or cheaper, at most, max, maximum, budget, limit, \
    oder weniger, oder günstiger, oder darunter, maximal, höchstens, ou moins, au maximum, o menos, como máximo, máximo";
/// Words after a lower limit.
pub(super) const LOWER_AFTER: &str = "or more, or above, or over, and up, at least, minimum, oder mehr, oder darüber, \
    mindestens, ou plus, o más, como mínimo";
/// Words that begin a range: "from 200 to 300".
pub(super) const OPENS_RANGE: &str = "between, from, zwischen, von, entre, de, desde";
/// Words inside a range.
pub(super) const JOINS_RANGE: &str = "and, to, und, bis, et, à, y, a";
/// Words without effect between a limit and its number.
pub(super) const FILLERS: &str = "about, around, roughly, approx, ca, circa, etwa, rund, environ, unos, unas, the, your, \
    of, ihr, ihre, ihren, ihrem, dein, deine, deinem, votre, vos, su, sus";

/// Words that deny something of a product: "it is not under 50".
pub(super) const NOT: &str = "not, nicht, pas, cannot";
/// Words after a `no` that denies something of a product; before a noun, `no` denies that there is any.
pub(super) const AFTER_NO: &str =
    "cuesta, cuestan, es, son, está, vale, valen, pesa, mide, supera, más de, menos de, more than, less than";
/// Words that deny that there is any: "no tent under 300".
pub(super) const NONE: &str = "no, none, nothing, neither, without, kein, keine, keinen, keinem, keiner, keines, keins, \
    nichts, aucun, aucune, rien, ningún, ninguna, nada";
/// Phrases with such a word that deny nothing.
pub(super) const NO_DENIALS: &str = "no problem, no doubt, no worries, no question, not only, not just, why not, \
    kein problem, keine sorge, kein zweifel, nicht nur, warum nicht, pas seulement, no solo, no hay problema";
/// Verbs about the range of the shop: their denial says nothing about a product.
pub(super) const THERE_IS: &str = "have, has, offer, offers, carry, stock, sell, find, found, there, any, \
    haben, habe, führen, gibt, anbieten, finden, avons, n'avons, n'y, trouve, tenemos, hay, ofrecemos";

/// Verbs of wishing, beside a word for the customer.
pub(super) const WISHES: &str = "asked, want, wanted, need, needed, said, mentioned, wish, wished, looking, requested, \
    specified, prefer, \
    suchen, suchst, brauchen, brauchst, möchten, möchtest, wollen, willst, wünschen, benötigen, gefragt, genannt, erwähnt, \
    cherchez, cherches, voulez, veux, souhaitez, souhaites, demandé, demandée, besoin, mentionné";
/// Verbs of wishing that imply the customer.
pub(super) const WISHES_ALONE: &str = "busca, buscas, necesita, necesitas, quiere, quieres, desea, deseas, pidió, \
    pediste, solicitó, mencionó, mencionaste, gewünschte, gewünschten, gewünschter, gesuchte, gesuchten, requested, desired";
/// Words for the customer.
pub(super) const CUSTOMER: &str = "you, you're, sie, du, vous, tu";
/// Words for the customer's possession.
pub(super) const POSSESSIVES: &str = "your, ihr, ihre, ihren, ihrem, ihrer, dein, deine, deinen, deinem, eure, votre, \
    vos, ta, su, sus, tus";
/// Words between a possessive and its number: "your party of 4", "Ihre Größe 44".
pub(super) const SIZES: &str = "size, group, party, family, of, größe, schuhgröße, gruppe, familie, von, \
    taille, pointure, groupe, famille, de, talla, número, grupo, familia";
/// Words that assert that a product has, fits or costs what was wished for.
pub(super) const ASSERTS: &str = "yes, sure, available, stock, it's, there, we, fit, fits, suits, suitable, sleeps, \
    holds, comes, cost, costs, price, weighs, it is, this is, they are, that is, these are, \
    ja, klar, verfügbar, lieferbar, vorrätig, lager, gibt, wir, passt, passen, geeignet, reicht, fasst, kostet, preis, wiegt, \
    es ist, das ist, sie ist, sie sind, \
    oui, disponible, disponibles, nous, avons, c'est, convient, coûte, prix, pèse, il est, elle est, ce sont, \
    sí, hay, tenemos, cabe, caben, cuesta, precio, pesa";

/// Words beside a number that is money.
pub(super) const MONEY: &str =
    "eur, euro, euros, usd, dollar, dollars, chf, franken, francs, gbp, dólares, dólar";
/// Units with their spellings.
pub(super) const UNITS: [(&str, &str); 13] = [
    ("people", "people, person, persons, personen, leute, personne, personnes, persona, personas"),
    ("kg", "kg, kilo, kilos, kilogram, kilograms, kilogramm"),
    ("g", "g, gram, grams, gramm, grammes, gramos"),
    ("cm", "cm, centimetres, centimeters, zentimeter, centimètres, centímetros"),
    ("mm", "mm"),
    ("m", "m, metre, metres, meter, meters, mètre, mètres, metro, metros"),
    ("l", "l, litre, litres, liter, liters, litro, litros"),
    ("ml", "ml"),
    ("w", "w, watt, watts"),
    ("v", "v, volt, volts"),
    ("h", "h, hour, hours, stunde, stunden, heure, heures, hora, horas"),
    ("days", "day, days, tag, tage, tagen, jour, jours, día, días"),
    ("%", "percent, prozent"),
];
