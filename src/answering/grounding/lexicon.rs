//! Words that tell what a number is, in English, German, French, Spanish and Italian, and some in Dutch.
//!
//! Lists of words and phrases in lower case, separated by `", "`.

pub(super) fn phrases(list: &str) -> impl Iterator<Item = &str> {
    list.split(", ")
}

/// Words whose full stop ends no sentence.
pub(super) const ABBREVIATIONS: &str =
    "max, min, máx, mín, ca, approx, aprox, env, bzw, inkl, nr, no, incl, a.m, p.m";
/// Words after which another statement begins.
pub(super) const CONTRASTS: &str = "but, however, aber, sondern, jedoch, mais, pero, sino, \
    ma, però, bensì, maar";
/// Words that continue the statement before the comma: "kein Zelt, das unter 300 € kostet".
pub(super) const RELATIVES: &str = "that, which, who, das, der, die, den, dem, welches, welche, welcher, qui, que, dont, \
    che, cui, dat";
/// Words that join statements.
pub(super) const AND: &str = "and, und, et, y, \
    e, ed";

/// Words before an upper limit.
pub(super) const UPPER: &str = "under, below, beneath, within, less than, lower than, cheaper than, smaller than, \
    lighter than, up to, at most, maximum, maximum of, max, budget, budget of, budget is, limit of, \
    unter, weniger als, günstiger als, billiger als, kleiner als, leichter als, bis, bis zu, höchstens, maximal, innerhalb, \
    budget von, \
    moins de, sous, en dessous de, au-dessous de, jusqu'à, au plus, au maximum, budget de, \
    menos de, por debajo de, hasta, como máximo, máximo, presupuesto de, \
    meno di, budget di, sotto, al di sotto di, fino a, al massimo, massimo, entro, minder dan, onder, tot, maximaal, hoogstens";
/// Words before a lower limit.
pub(super) const LOWER: &str = "over, above, more than, larger than, bigger than, heavier than, at least, minimum, \
    minimum of, min, \
    über, mehr als, größer als, schwerer als, teurer als, mindestens, ab, oberhalb von, \
    plus de, au-dessus de, au moins, à partir de, au minimum, \
    más de, por encima de, al menos, como mínimo, mínimo, desde, a partir de, \
    più di, sopra, oltre, almeno, minimo, a partire da, meer dan, boven, minstens, vanaf";
/// Words after an upper limit.
pub(super) const UPPER_AFTER: &str = "or less, or under, or below, or cheaper, at most, max, maximum, budget, limit, \
    oder weniger, oder günstiger, oder darunter, maximal, höchstens, ou moins, au maximum, o menos, como máximo, máximo, \
    o meno, al massimo, massimo, of minder";
/// Words after a lower limit.
pub(super) const LOWER_AFTER: &str = "or more, or above, or over, and up, at least, minimum, oder mehr, oder darüber, \
    mindestens, ou plus, o más, como mínimo, \
    o più, almeno, of meer";
/// Words that begin a range: "from 200 to 300".
pub(super) const OPENS_RANGE: &str = "between, from, zwischen, von, entre, de, desde, \
    tra, fra, da, dal, dalle, tussen, van";
/// Words inside a range.
pub(super) const JOINS_RANGE: &str = "and, to, und, bis, et, à, y, a, \
    e, al, alle, en, tot";
/// Words without effect between a limit and its number.
pub(super) const FILLERS: &str = "about, around, roughly, approx, ca, circa, etwa, rund, environ, unos, unas, the, your, \
    of, ihr, ihre, ihren, ihrem, dein, deine, deinem, votre, vos, su, sus, \
    i, gli, le, il, suo, sua, tuo, tua";

/// Words that deny something of a product: "it is not under 50".
pub(super) const NOT: &str = "not, nicht, pas, cannot, \
    non, niet";
/// Words after a `no` that denies something of a product; before a noun, `no` denies that there is any.
pub(super) const AFTER_NO: &str =
    "cuesta, cuestan, es, son, está, vale, valen, pesa, mide, supera, más de, menos de, more than, less than";
/// Words that deny that there is any: "no tent under 300".
pub(super) const NONE: &str = "no, none, nothing, neither, without, kein, keine, keinen, keinem, keiner, keines, keins, \
    nichts, aucun, aucune, rien, ningún, ninguna, nada, \
    nessun, nessuna, nessuno, niente, nulla, geen, niets";
/// Phrases with such a word that deny nothing.
pub(super) const NO_DENIALS: &str = "no problem, no doubt, no worries, no question, not only, not just, why not, \
    kein problem, keine sorge, kein zweifel, nicht nur, warum nicht, pas seulement, no solo, no hay problema, \
    non solo, nessun problema, geen probleem";
/// Verbs about the range of the shop: their denial says nothing about a product.
pub(super) const THERE_IS: &str = "have, has, offer, offers, carry, stock, sell, find, found, there, any, \
    haben, habe, führen, gibt, anbieten, finden, avons, n'avons, n'y, trouve, tenemos, hay, ofrecemos, \
    abbiamo, c'è, ci, offriamo, vendiamo, hebben, verkopen";

/// Verbs of wishing, beside a word for the customer.
pub(super) const WISHES: &str = "asked, want, wanted, need, needed, said, mentioned, wish, wished, looking, requested, \
    specified, prefer, \
    suchen, suchst, brauchen, brauchst, möchten, möchtest, wollen, willst, wünschen, benötigen, gefragt, genannt, erwähnt, \
    cherchez, cherches, voulez, veux, souhaitez, souhaites, demandé, demandée, besoin, mentionné, \
    zoekt, wilt, wenst";
/// Verbs of wishing that imply the customer.
pub(super) const WISHES_ALONE: &str = "busca, buscas, necesita, necesitas, quiere, quieres, desea, deseas, pidió, \
    pediste, solicitó, mencionó, mencionaste, gewünschte, gewünschten, gewünschter, gesuchte, gesuchten, requested, desired, \
    cerca, cerchi, vuole, vuoi, desidera, desideri, richiesto, richiesta, richiesti";
/// Words for the customer.
pub(super) const CUSTOMER: &str = "you, you're, sie, du, vous, tu, \
    u, je, jij";
/// Words for the customer's possession.
pub(super) const POSSESSIVES: &str = "your, ihr, ihre, ihren, ihrem, ihrer, dein, deine, deinen, deinem, eure, votre, \
    vos, ta, su, sus, tus, \
    tuo, tua, tuoi, tue, suo, sua, suoi, sue, vostro, vostra, vostri, vostre, uw, jouw";
/// Words between a possessive and its number: "your party of 4", "Ihre Größe 44".
pub(super) const SIZES: &str = "size, group, party, family, of, größe, schuhgröße, gruppe, familie, von, \
    taille, pointure, groupe, famille, de, talla, número, grupo, familia, \
    taglia, numero, gruppo, famiglia, maat, order, bestellung, bestellnummer, commande, pedido, ordine, bestelling";
/// Words that assert that a product has, fits or costs what was wished for.
pub(super) const ASSERTS: &str = "yes, sure, available, stock, it's, there, we, fit, fits, suits, suitable, sleeps, \
    holds, comes, cost, costs, price, weighs, it is, this is, they are, that is, these are, \
    ja, klar, verfügbar, lieferbar, vorrätig, lager, gibt, wir, passt, passen, geeignet, reicht, fasst, kostet, preis, wiegt, \
    es ist, das ist, sie ist, sie sind, \
    oui, disponible, disponibles, nous, avons, c'est, convient, coûte, prix, pèse, il est, elle est, ce sont, \
    sí, hay, tenemos, cabe, caben, cuesta, precio, pesa, \
    sì, disponibile, disponibili, abbiamo, costa, prezzo, contiene, è per, beschikbaar, kost, past";

/// Words between a possessive with its noun and a number: "your niche of 2 m".
pub(super) const OF: &str = "of, von, de, di, da, van";
/// Verbs that recommend: "for 4 people I recommend".
pub(super) const RECOMMENDS: &str = "recommend, suggest, advise, choose, empfehle, empfehlen, conseille, conseillons, \
    recommande, recomiendo, recomendamos, aconsejo, consiglio, consigliamo, raccomando, adviseer";
/// Words before the size of a group: "for 4 people".
pub(super) const FOR: &str = "for, für, pour, para, per, da, voor";

/// Currencies that may stand right before a number: `EUR45`.
pub(super) const MONEY: &str = "eur, usd, chf, gbp";
/// Parts of the names of columns that hold prices.
pub(super) const PRICES: &str =
    "price, preis, prix, precio, prezzo, prijs, cost, kosten, coût, uvp, rrp, msrp";
/// Words before a price without a currency.
pub(super) const PRICE_WORDS: &str = "price, priced, cost, costs, was, instead, only, rrp, msrp, from, over, above, \
    under, value, order, orders, minimum, \
    preis, kostet, kosten, statt, nur, uvp, ab, über, unter, bestellwert, mindestbestellwert, \
    prix, coûte, seulement, dès, minimum, commande, precio, cuesta, solo, antes, desde, pedido, \
    prezzo, costa, soltanto, oltre, ordine, prijs, kost, vanaf";
/// Words that join numbers with one unit: "6 to 8 cm".
pub(super) const JOINS_MEASURES: &str = "to, bis, à, a, tot, x, or, oder, ou, o, by, mal";
/// One, which is also the indefinite article.
pub(super) const ONE_OR_ARTICLE: &str =
    "one, a, an, ein, eine, einem, einen, einer, eines, un, une, una, uno, een";
/// Words after a number of pieces in stock.
pub(super) const STOCK: &str = "in stock, available, left in stock, auf lager, vorrätig, verfügbar, lieferbar, am lager, \
    en stock, disponible, disponibles, disponibile, disponibili, in magazzino, op voorraad, beschikbaar";
/// Words between the number and these.
pub(super) const STOCK_FILLERS: &str = "are, is, left, more, still, currently, now, pieces, units, items, of, them, \
    sind, ist, noch, derzeit, aktuell, stück, exemplare, davon, \
    sont, est, encore, pièces, exemplaires, son, están, unidades, sono, ancora, pezzi, stuks";
/// Words by which a sum is named.
pub(super) const TOTALS: &str = "together, total, totals, totalling, altogether, sum, combined, in all, come to, comes to, \
    zusammen, insgesamt, gesamt, gesamtpreis, gesamtsumme, summe, \
    ensemble, total, en tout, en total, juntos, juntas, suma, suman, \
    insieme, totale, in tutto, samen, totaal";
/// Words before or after a rounded number.
pub(super) const APPROXIMATELY: &str = "about, around, roughly, approximately, approx, nearly, almost, some, \
    ca, circa, etwa, rund, ungefähr, knapp, fast, environ, presque, unos, unas, aproximadamente, casi, quasi, ongeveer";
/// Words before a number that is only a label: "step 1".
pub(super) const LABELS: &str = "step, option, passage, source, point, schritt, punkt, quelle, étape, \
    paso, opción, fuente, passo, opzione, fonte, stap, optie, bron";
/// The months by name.
pub(super) const MONTHS: [&str; 12] = [
    "january, januar, jänner, janvier, enero, gennaio, januari",
    "february, februar, février, febrero, febbraio, februari",
    "march, märz, mars, marzo, maart",
    "april, avril, abril, aprile",
    "may, mai, mayo, maggio, mei",
    "june, juni, juin, junio, giugno",
    "july, juli, juillet, julio, luglio",
    "august, août, agosto, augustus",
    "september, septembre, septiembre, settembre",
    "october, oktober, octobre, octubre, ottobre",
    "november, novembre, noviembre",
    "december, dezember, décembre, diciembre, dicembre",
];
