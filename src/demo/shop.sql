-- The sample shop: a small outdoor-and-home catalogue with its questions and policies.
-- Every run drops and recreates the three tables. All brands, names and texts are invented.

set client_encoding = 'UTF8';

drop table if exists public.shop_product cascade;
drop table if exists public.shop_faq cascade;
drop table if exists public.shop_policy cascade;

create table public.shop_product (
    id          bigint primary key,
    sku         text not null unique,
    slug        text not null,
    name        text not null,
    description text not null,
    category    text not null,
    brand       text not null,
    colour      text,
    size        text,
    price       numeric(10,2) not null,
    currency    text not null default 'EUR',
    stock       integer not null,
    is_active   boolean not null default true,
    updated_at  timestamptz not null default now()
);

create table public.shop_faq (
    id         bigint primary key,
    question   text,
    answer     text,
    topic      text,
    updated_at timestamptz not null default now()
);

create table public.shop_policy (
    id         bigint primary key,
    slug       text,
    title      text,
    body       text,
    updated_at timestamptz not null default now()
);

-- Tents
insert into public.shop_product
    (id, sku, slug, name, description, category, brand, colour, size, price, stock, is_active)
values
    (101, 'TNT-2010-GRN', 'ridge-2-green-2-person', 'Ridge 2',
     'Two hikers sleep side by side in this three-season dome, which goes up in about six minutes on a pair of crossing 8.5 mm aluminium poles. The fly is 40-denier ripstop nylon with a 3,000 mm water column, the groundsheet is rated at 5,000 mm. Packed it weighs 2.3 kg and fits into a 42 × 15 cm roll.',
     'Tents', 'Tarnholt', 'green', '2 person', 249.00, 14, true),
    (102, 'TNT-2011-ORG', 'ridge-2-orange-2-person', 'Ridge 2',
     'The signal-orange edition of our best-selling dome is easy to find again on a grey hillside. Construction is the same as the green one: ripstop nylon fly with 3,000 mm water column, aluminium poles, two porches, 2.3 kg in the bag. Only the guy lines differ, they carry a reflective thread.',
     'Tents', 'Tarnholt', 'orange', '2 person', 249.00, 3, true),
    (103, 'TNT-2020-GRN', 'ridge-20-green-20-person', 'Ridge 20',
     'A group shelter for scouts and school trips, not to be confused with the little dome of nearly the same name. The polycotton roof breathes well in July and stands on one central steel mast of 3.2 m. Twenty people can sit at benches inside or ten can sleep, and the whole thing weighs 58 kg on two carry bags.',
     'Tents', 'Tarnholt', 'green', '20 person', 1890.00, 2, true),
    (104, 'TNT-2041-GRN', 'lakeside-family-tunnel-green-5-person', 'Lakeside Family Tunnel',
     'Three fibreglass hoops make a long tunnel with standing height of 2.05 m in the living area and a dark sleeping cabin for five. Window panels can be zipped shut against early sunlight, a sewn-in groundsheet keeps beetles out. Water column of the flysheet: 4,000 mm, pitching time for two adults roughly fifteen minutes.',
     'Tents', 'Tarnholt', 'green', '5 person', 529.00, 7, true),
    (105, 'TNT-2042-SND', 'lakeside-family-tunnel-sand-5-person', 'Lakeside Family Tunnel',
     'Sand-coloured polyester reflects more of the midday heat than the darker version does, which campers in southern Europe tend to appreciate. Inside there is the same blacked-out cabin for five, 2.05 m of headroom and a 4,000 mm flysheet. Twenty-two pegs and a repair sleeve for the hoops are in the box.',
     'Tents', 'Tarnholt', 'sand', '5 person', 529.00, 0, true),
    (106, 'TNT-1105-GRY', 'heron-solo-grey-1-person', 'Heron Solo',
     'A one-pole pyramid for people who count grams: 890 g including pegs, because your trekking pole replaces the mast. Silicone-coated nylon sheds snow as well as rain and the mesh inner can stay at home on dry trips. Not freestanding, so it needs ground that takes a peg.',
     'Tents', 'Murrelet', 'grey', '1 person', 319.00, 9, true),
    (107, 'TNT-1106-GRY', 'heron-solo-inner-grey-1-person', 'Heron Solo Inner',
     'Replacement inner of fine no-see-um mesh with a bathtub floor for the solo pyramid. It hooks in with four toggles in under a minute and keeps midges and ticks outside. Weight 310 g. The flysheet and the pegs are sold separately.',
     'Tents', 'Murrelet', 'grey', '1 person', 79.00, 12, true),
    (108, 'TNT-3300-WHT', 'glockenzelt-grosse-duene-natural-white-6-person', 'Glockenzelt Große Düne',
     'A classic bell of 4 m across, sewn from 320 g/m² cotton canvas that has been treated against mildew. The wall is 60 cm high and rolls up all round when the evening is warm, and there is a lined port for a stove pipe of 10 cm. Let the canvas dry completely before storing it, otherwise the treatment will not save it.',
     'Tents', 'Lummerhof', 'natural white', '6 person', 849.00, 4, true),
    (109, 'TNT-3310-BLU', 'minnow-beach-shelter-blue-3-person', 'Minnow Beach Shelter',
     'Throw it, let it spring open, fill the pockets with sand: a half-open shade for a baby and two parents. The fabric filters ultraviolet light to UPF 50+ and the front flap closes so you can change out of a wet swimsuit. It will not stand in strong wind and it is not meant for sleeping in the rain.',
     'Tents', 'Lummerhof', 'blue', '3 person', 45.00, 31, true),
    (110, 'TNT-3401-GRY', 'wing-tarp-3-4-grey-3-4-m', 'Wing Tarp 3 × 4',
     'Catenary edges keep this rectangle of silnylon from flapping, and nineteen reinforced loops let you rig it as a lean-to, a diamond or a plain roof over the table. 640 g with its sack, 2,000 mm water column. Poles and cord are not included, two trees are enough.',
     'Tents', 'Murrelet', 'grey', '3 × 4 m', 119.00, 18, true),
    (111, 'TNT-0090-RED', 'storm-hut-4-red-4-person', 'Storm Hut 4',
     'Geodesic expedition shelter with five crossing poles and snow skirts, tested at wind speeds of 110 km/h. It has been taken out of the range and remains in the books for warranty cases only. Weight 6.1 kg, flysheet 6,000 mm.',
     'Tents', 'Tarnholt', 'red', '4 person', 990.00, 1, false),
    (112, 'TNT-9001-STL', 'peg-set-hard-ground-steel-set-of-10', 'Peg Set Hard Ground',
     'Ten forged nails of 20 cm for stony pitches where bent wire gives up. Each one weighs 95 g and has a hook that will not slip out of a guy line, and the glow-in-the-dark cap spares your toes at night. Delivered in a roll of waxed canvas.',
     'Tents', 'Tarnholt', 'steel', 'set of 10', 19.90, 64, true);

-- Sleeping Bags
insert into public.shop_product
    (id, sku, slug, name, description, category, brand, colour, size, price, stock, is_active)
values
    (201, 'SLB-4001-BLU', 'plover-5-blue-regular', 'Plover 5',
     'A summer bag with a comfort temperature of 5 °C for hut tours and festivals. Hollow polyester fibre stays warm when damp and goes into the washing machine at 30 °C. Weighs 1.1 kg, fits people up to 1.85 m, and the zip runs all the way round so it opens into a quilt.',
     'Sleeping Bags', 'Murrelet', 'blue', 'regular', 89.00, 26, true),
    (202, 'SLB-4002-BLU', 'plover-5-long-blue', 'Plover 5 Long',
     'Fifteen centimetres more than the regular version for sleepers up to 2.00 m, otherwise the very same hollow-fibre bag. Comfort 5 °C, 1.25 kg, full zip on the left. Machine washable at a gentle 30 °C.',
     'Sleeping Bags', 'Murrelet', 'blue', 'long', 97.00, 11, true),
    (203, 'SLB-4003-RED', 'plover-5-red-regular', 'Plover 5',
     'In brick red with a sand-coloured lining, for everybody who mixes up his bag with the neighbour''s in the dormitory. Synthetic filling, comfort 5 °C, weight 1.1 kg. Can be zipped together with a blue one to make a double.',
     'Sleeping Bags', 'Murrelet', 'red', 'regular', 89.00, 0, true),
    (204, 'SLB-4110-BLK', 'dotterel-down-7-black-regular', 'Dotterel Down -7',
     'Goose down of 750 cuin, traceable to its farm and gathered as a by-product, keeps you comfortable down to minus 7 °C. A draught collar and a baffle behind the zip close the usual leaks. The bag weighs 940 g, compresses to 6 litres, and should be stored loosely in its big cotton sack.',
     'Sleeping Bags', 'Murrelet', 'black', 'regular', 379.00, 6, true),
    (205, 'SLB-4111-BLK', 'dotterel-down-7-women-black', 'Dotterel Down -7 Women',
     'Narrower at the shoulder, wider at the hip and with an extra 80 g of down around the feet, since that is where women told us they were cold. Comfort limit minus 7 °C, total weight 1,010 g. For sleepers up to 1.75 m.',
     'Sleeping Bags', 'Murrelet', 'black', 'women', 379.00, 4, true),
    (206, 'SLB-4200-GRN', 'bittern-winter-green-regular', 'Bittern Winter',
     'Hydrophobic duck down in box-wall chambers for nights on snow, comfortable to minus 18 °C and survivable well below. The hood closes to a hand-sized opening and an inside pocket keeps batteries warm. 1.6 kg. Never dry-clean it, have it washed by a specialist.',
     'Sleeping Bags', 'Tarnholt', 'green', 'regular', 459.00, 2, true),
    (207, 'SLB-4305-YEL', 'duckling-kids-bag-yellow-up-to-1-40-m', 'Duckling Kids Bag',
     'Cosy nest for sleepovers and first camping nights that grows with its owner: fold the foot end up and close the buttons, and it becomes 30 cm shorter. Printed with ducks in wellingtons, filled with recycled polyester. Good for temperatures above 8 °C, machine washable at 40 °C.',
     'Sleeping Bags', 'Bimbelo', 'yellow', 'up to 1.40 m', 49.00, 22, true),
    (208, 'SLB-4400-SLK', 'silk-liner-natural-220-90-cm', 'Silk Liner',
     'Mulberry silk sheet to slip into a hostel bed or a sleeping bag. It adds about 4 °C, weighs just 125 g and vanishes into a pouch the size of a fist. Wash by hand in lukewarm water without softener.',
     'Sleeping Bags', 'Murrelet', 'natural', '220 × 90 cm', 64.00, 15, true),
    (209, 'SLB-4401-COT', 'cotton-liner-natural-220-90-cm', 'Cotton Liner',
     'Mountain huts insist on one, and this does the job for little money. Plain-woven organic cotton with a pillow pocket and a side opening of 50 cm. At 360 g it is no featherweight but it survives a 60 °C wash for years.',
     'Sleeping Bags', 'Murrelet', 'natural', '220 × 90 cm', 24.00, 40, true),
    (210, 'SLB-4500-GRY', 'camp-quilt-wren-grey-140-200-cm', 'Camp Quilt Wren',
     'Half blanket, half bag: no hood, no zip, just a foot box and two straps that hold it to your mattress. Synthetic insulation of 100 g/m² suits nights above 10 °C. On the sofa it does duty as a throw. 780 g.',
     'Sleeping Bags', 'Murrelet', 'grey', '140 × 200 cm', 139.00, 8, true);

-- Sleeping Mats
insert into public.shop_product
    (id, sku, slug, name, description, category, brand, colour, size, price, stock, is_active)
values
    (301, 'MAT-5001-GRN', 'moss-mat-green-183-51-cm', 'Moss Mat',
     'Self-inflating open-cell foam, 3.8 cm thick, with a non-slip dotted underside. Roll it out, open the brass valve, make tea, and by the time you have drunk it the mat is ready. R-value 3.1, weight 870 g, repair patches in the sack.',
     'Sleeping Mats', 'Tarnholt', 'green', '183 × 51 cm', 54.00, 33, true),
    (302, 'MAT-5002-GRN', 'moss-mat-wide-green-198-65-cm', 'Moss Mat Wide',
     'For restless sleepers: 65 cm across and long enough for tall people, otherwise like the narrower sister with 3.8 cm of open-cell foam and an R-value of 3.1. Weighs 1.2 kg. The roll is too big for the inside of most rucksacks and belongs under the lid.',
     'Sleeping Mats', 'Tarnholt', 'green', '198 × 65 cm', 72.00, 13, true),
    (303, 'MAT-5100-ORG', 'sandpiper-air-mat-orange-183-55-cm', 'Sandpiper Air Mat',
     'Blown up with a pump sack, this air chamber mattress reaches 8 cm and swallows roots and pebbles. A reflective film inside brings the R-value to 4.5 while the weight stays at 460 g. It rustles slightly when you turn over, which is the price of the film.',
     'Sleeping Mats', 'Murrelet', 'orange', '183 × 55 cm', 145.00, 10, true),
    (304, 'MAT-5200-GRY', 'fold-pad-z-grey-185-57-cm', 'Fold Pad Z',
     'An accordion of closed-cell foam that cannot puncture and cannot fail. Fold four panels for a seat by the fire, all fourteen for a night. 410 g, R-value 2.0. Strap it to the outside of the pack, rain does not bother it.',
     'Sleeping Mats', 'Murrelet', 'grey', '185 × 57 cm', 32.00, 45, true),
    (305, 'MAT-5300-BLU', 'double-drift-blue-200-135-cm', 'Double Drift',
     'A couple''s mattress of 15 cm for the family tent or the guest room, with a velvety top and an electric pump that runs on two D cells. It supports 250 kg altogether. Rolled up it is the size of a large watermelon and weighs 4.4 kg.',
     'Sleeping Mats', 'Lummerhof', 'blue', '200 × 135 cm', 129.00, 5, true),
    (306, 'MAT-5301-RPR', 'mat-repair-kit-one-size', 'Mat Repair Kit',
     'Six adhesive patches in two materials, a tube of 5 g glue, an alcohol wipe and a spare valve seal for inflatable mattresses. Find the hole with soapy water, let the patch cure for four hours. Works on paddling pools as well.',
     'Sleeping Mats', 'Lummerhof', null, 'one size', 8.50, 70, true),
    (307, 'MAT-5400-BLU', 'cloud-pillow-blue-40-28-cm', 'Cloud Pillow',
     'Inflatable cushion with a brushed jersey cover, so your cheek does not stick to plastic on a warm night. Two or three breaths fill it, a press on the valve lets out a little for fine tuning. 88 g, and the cover comes off for washing.',
     'Sleeping Mats', 'Murrelet', 'blue', '40 × 28 cm', 27.00, 29, true),
    (308, 'MAT-5401-SND', 'buckwheat-camp-cushion-sand-30-20-cm', 'Buckwheat Camp Cushion',
     'Filled with hulls instead of air, this small headrest rustles softly and stays cool because the wind can blow straight through it. The linen case closes with coconut buttons. At 700 g it is for people who arrive by car.',
     'Sleeping Mats', 'Fernhush', 'sand', '30 × 20 cm', 34.00, 7, true);

-- Backpacks
insert into public.shop_product
    (id, sku, slug, name, description, category, brand, colour, size, price, stock, is_active)
values
    (401, 'BPK-6020-BLU', 'cairn-20-blue-20-l', 'Cairn 20',
     'A day pack with a drum-tight mesh back that leaves two fingers of air between you and the load. Takes a 2-litre bladder, has a whistle on the chest strap and a rain cover in the bottom pocket. 820 g, recycled 210-denier polyamide.',
     'Backpacks', 'Tarnholt', 'blue', '20 l', 79.00, 19, true),
    (402, 'BPK-6021-RED', 'cairn-20-red-20-l', 'Cairn 20',
     'Cherry red, 20 litres, and small enough for hand luggage on any airline we know of. Ventilated mesh back, pole loops, hidden rain cover and a zip pocket for keys on the hip fin. Made of recycled polyamide, 820 g empty.',
     'Backpacks', 'Tarnholt', 'red', '20 l', 79.00, 8, true),
    (403, 'BPK-6022-BLK', 'cairn-20-black-20-l', 'Cairn 20',
     'The black model drops the contrast piping and therefore costs a little less. In every other way it is the twenty-litre day pack with air-mesh back, bladder sleeve and rain cover in the base. Currently the most sought-after colour at schools.',
     'Backpacks', 'Tarnholt', 'black', '20 l', 74.00, 0, true),
    (404, 'BPK-6048-GRN', 'cairn-48-green-48-l', 'Cairn 48',
     'For hut-to-hut weeks: 48 litres plus a collar that extends by eight more, an adjustable back length from 42 to 52 cm and padded hip fins that carry most of the weight. The bottom compartment opens separately for the sleeping bag. Weighs 1.75 kg, recommended load 14 kg.',
     'Backpacks', 'Tarnholt', 'green', '48 l', 179.00, 6, true),
    (405, 'BPK-6065-GRN', 'cairn-65-green-65-l', 'Cairn 65',
     'Long trips with a tent and a week of food ask for this one. An aluminium stay can be bent to the shape of your spine, the lid becomes a summit bag, and two ice-axe loops are there if you need them. 2.1 kg, carries 20 kg without complaint.',
     'Backpacks', 'Tarnholt', 'green', '65 l', 229.00, 4, true),
    (406, 'BPK-6100-MUS', 'cafe-roll-top-mustard-18-l', 'Café Roll-Top',
     'Waxed cotton for the commute, with a roll closure and one solid brass hook. A fleece-lined sleeve takes laptops up to 15 inches and the flat pocket at the back hides passport and tickets. The wax wears in handsomely and can be renewed with a tin and a hair dryer.',
     'Backpacks', 'Hollin & Rook', 'mustard', '18 l', 98.00, 12, true),
    (407, 'BPK-6101-NVY', 'cafe-roll-top-navy-18-l', 'Café Roll-Top',
     'Deep navy waxed cotton, darker at the seams after a few months, as it should be. Inside: sleeve for a 15-inch laptop, pen loops, a key leash. Showers run off it but in a downpour put your papers into a plastic bag.',
     'Backpacks', 'Hollin & Rook', 'navy', '18 l', 98.00, 5, true),
    (408, 'BPK-6200-YEL', 'duckling-rucksack-yellow-7-l', 'Duckling Rucksack',
     'Sized for a kindergartner with a lunchbox, a jumper and a treasure of conkers. The chest strap closes with a magnet that small fingers can manage, reflective wings flap on both sides. 290 g, wipe clean, for children from three years.',
     'Backpacks', 'Bimbelo', 'yellow', '7 l', 35.00, 24, true),
    (409, 'BPK-6300-BLK', 'dry-tube-35-black-35-l', 'Dry Tube 35',
     'Welded tarpaulin and a triple-rolled mouth keep the contents dry even if the canoe turns over. Two removable shoulder straps turn the sack into something you can carry to the bus. Submersible for a short time, not for diving. 760 g.',
     'Backpacks', 'Velkari', 'black', '35 l', 59.00, 17, true),
    (410, 'BPK-6301-BLK', 'dry-tube-35-liner-white-35-l', 'Dry Tube 35 Liner',
     'A featherweight inner bag of siliconised nylon for people who already own a rucksack and merely want the inside to stay dry. 68 g, roll closure, white so that you can see what you are looking for. Throw it in the wash at 30 °C.',
     'Backpacks', 'Velkari', 'white', '35 l', 14.50, 38, true),
    (411, 'BPK-6400-GRY', 'hip-pouch-wagtail-grey-2-5-l', 'Hip Pouch Wagtail',
     'Wear it in front on the path and across the chest in town. Two zipped chambers hold phone, snacks and a first-aid pack, a stretch holder on the left takes a half-litre bottle. 190 g, belt adjustable from 60 to 125 cm.',
     'Backpacks', 'Murrelet', 'grey', '2.5 l', 39.00, 21, true),
    (412, 'BPK-6500-RAI', 'rain-cover-m-signal-yellow-3050-l', 'Rain Cover M',
     'Elastic hood for rucksacks between 30 and 50 litres that came without one. A strap across the back keeps the wind from stealing it and a drain hole at the bottom lets collected water go. 95 g, 2,000 mm water column.',
     'Backpacks', 'Tarnholt', 'signal yellow', '30–50 l', 17.90, 52, true);

-- Boots
insert into public.shop_product
    (id, sku, slug, name, description, category, brand, colour, size, price, stock, is_active)
values
    (501, 'BTS-7001-BRN-42', 'fell-walker-brown-42', 'Fell Walker',
     'Greased nubuck, a waterproof membrane and a stiff shank for rough paths with a medium pack. The rubber rand protects against scree and the sole can be replaced by a cobbler. 1,240 g the pair. Break them in for two weeks before the big tour.',
     'Boots', 'Quillfoot', 'brown', '42', 189.00, 5, true),
    (502, 'BTS-7001-BRN-44', 'fell-walker-brown-44', 'Fell Walker',
     'Size 44 of the resoleable nubuck boot with membrane and protective rand. The shaft reaches above the ankle bone and closes with deep-pull hooks, so the heel stays put on descents. Brush off mud when dry and feed the leather with wax twice a season.',
     'Boots', 'Quillfoot', 'brown', '44', 189.00, 2, true),
    (503, 'BTS-7002-GRY-39', 'fell-walker-women-grey-39', 'Fell Walker Women',
     'Built on a woman''s last with a slimmer heel and a higher instep, in stone-grey nubuck. Waterproof membrane, replaceable lugged sole, 1,050 g the pair. It runs half a size small, so choose the next one up if you wear thick socks.',
     'Boots', 'Quillfoot', 'grey', '39', 189.00, 7, true),
    (504, 'BTS-7100-BLK-43', 'scree-runner-black-43', 'Scree Runner',
     'Low-cut trail shoe with 5 mm lugs that bite into wet grass and a plate underfoot against sharp stones. The upper drains and dries quickly since it has no membrane at all. Heel drop 6 mm, 290 g a shoe.',
     'Boots', 'Quillfoot', 'black', '43', 129.00, 11, true),
    (505, 'BTS-7101-BLU-41', 'scree-runner-blue-41', 'Scree Runner',
     'Cornflower-blue mesh, quick laces with a garage for the loose end, and a toe cap that forgives kicks against roots. For fast days on mixed ground rather than for heavy loads. Drop 6 mm, weight 275 g in size 41.',
     'Boots', 'Quillfoot', 'blue', '41', 129.00, 9, true),
    (506, 'BTS-7200-OLV-42', 'marsh-wellington-olive-42', 'Marsh Wellington',
     'Natural rubber pulled over a cotton lining, knee-high, with a buckle at the calf and a kick-off spur at the heel. Keeps out mud, slurry and the neighbour''s pond. Rinse with a hose, dry away from radiators, and a whitish bloom can be rubbed off with silicone spray.',
     'Boots', 'Quillfoot', 'olive', '42', 74.00, 16, true),
    (507, 'BTS-7201-YEL-28', 'puddle-wellington-kids-yellow-28', 'Puddle Wellington Kids',
     'Shiny yellow rubber boots with two handles so that children can pull them on without help. The lining is quick-drying and there is a name field under the tongue. The sole lights up nothing at all, which teachers will welcome.',
     'Boots', 'Bimbelo', 'yellow', '28', 29.00, 20, true),
    (508, 'BTS-7300-BRN-40', 'huettenschuh-filz-anthracite-40', 'Hüttenschuh Filz',
     'House slippers of boiled wool with a latex-dotted sole for cold flagstones in a mountain hut or your own hallway. They shape themselves to the foot within a week. Let them air instead of washing them, and steam out stains.',
     'Boots', 'Fernhush', 'anthracite', '40', 42.00, 14, true),
    (509, 'BTS-7301-BRN-43', 'huettenschuh-filz-anthracite-43', 'Hüttenschuh Filz',
     'The same felted slipper in size 43. Pure new wool from the Alps, 6 mm thick, open at the heel so you can step in without bending down. Not for use outdoors, the dots on the sole wear off on asphalt.',
     'Boots', 'Fernhush', 'anthracite', '43', 42.00, 0, true),
    (510, 'BTS-7400-WAX', 'leather-balm-100-ml', 'Leather Balm',
     'Beeswax, lanolin and a little pine oil in a tin, for smooth and greased leather. Warm the boot, rub in a thin layer with your fingers, polish after an hour. It darkens light colours and must not be used on suede.',
     'Boots', 'Quillfoot', null, '100 ml', 11.90, 58, true),
    (511, 'BTS-7410-BLK', 'micro-crampons-black-3646', 'Micro Crampons',
     'Twelve stainless teeth on a stretchy harness that you pull over the shoe when the lane is frozen. Fits sizes 36 to 46, weighs 360 g the pair and comes with a puncture-proof bag. For icy footpaths and winter walks, not for glaciers.',
     'Boots', 'Quillfoot', 'black', '36–46', 48.00, 13, true),
    (512, 'BTS-7500-BRN-42', 'alm-brogue-brown-42', 'Alm Brogue',
     'Country shoe with a broad welt and punched leather, made by a workshop that has since closed. Only a few pairs are left in the back of the storeroom and they are no longer offered. Calf leather, leather sole with rubber heel.',
     'Boots', 'Quillfoot', 'brown', '42', 159.00, 3, false);

-- Jackets
insert into public.shop_product
    (id, sku, slug, name, description, category, brand, colour, size, price, stock, is_active)
values
    (601, 'JKT-8001-NVY-M', 'squall-shell-navy-m', 'Squall Shell',
     'Three-layer hard shell with taped seams, a 20,000 mm water column and long zips under the arms for steep climbs. The hood fits over a helmet and moves with your head. 410 g. Wash at 30 °C without softener and tumble briefly to wake up the water repellency.',
     'Jackets', 'Ostrel', 'navy', 'M', 219.00, 10, true),
    (602, 'JKT-8002-NVY-L', 'squall-shell-navy-l', 'Squall Shell',
     'Large. Navy with a grey zip, cut long enough at the back to sit on a wet bench. Three-layer laminate of 20,000 mm with a breathability of 18,000 g/m²/24 h, two chest pockets that stay reachable under a rucksack belt.',
     'Jackets', 'Ostrel', 'navy', 'L', 219.00, 4, true),
    (603, 'JKT-8003-RED-M', 'squall-shell-red-m', 'Squall Shell',
     'Fire red for ski tours and for photographs. Taped three-layer laminate, 20,000 mm water column, helmet-compatible hood, 410 g in size M. A rescue reflector is stitched under the left cuff, which the navy version does not have.',
     'Jackets', 'Ostrel', 'red', 'M', 219.00, 0, true),
    (604, 'JKT-8004-RED-L', 'squall-shell-red-l', 'Squall Shell',
     'Last pieces of the fire-red shell in L, reduced because the colour leaves the programme. All technical values remain: 20,000 mm, taped seams, pit zips, reflector at the cuff. Weight in this size 435 g.',
     'Jackets', 'Ostrel', 'red', 'L', 199.00, 2, true),
    (605, 'JKT-8100-GRN-M', 'lichen-fleece-green-m', 'Lichen Fleece',
     'Grid fleece from recycled bottles, warm on the inside, smooth on the outside so a shell slides over it. Thumb loops, a high collar and one pocket on the chest. Dries overnight on a line and needs no ironing whatsoever. 320 g.',
     'Jackets', 'Ostrel', 'green', 'M', 89.00, 23, true),
    (606, 'JKT-8101-GRY-L', 'lichen-fleece-grey-l', 'Lichen Fleece',
     'Grey melange that hides campfire soot. The grid structure traps warm air and lets moisture out, which makes it our favourite second layer for winter hikes. Full-length zip, thumb loops, 345 g in L.',
     'Jackets', 'Ostrel', 'grey', 'L', 89.00, 15, true),
    (607, 'JKT-8200-BLK-M', 'ember-down-jacket-black-m', 'Ember Down Jacket',
     '650 cuin duck down in narrow chambers, light as a loaf of bread at 390 g and stuffed into its own left pocket for travelling. A windproof nylon shell keeps the filling dry in drizzle. Wash with down detergent and dry with two tennis balls in the drum.',
     'Jackets', 'Ostrel', 'black', 'M', 259.00, 5, true),
    (608, 'JKT-8201-BLK-M', 'ember-down-vest-black-m', 'Ember Down Vest',
     'Leaves the arms free for splitting wood or pushing a pram. Same 650 cuin duck down as the jacket with sleeves, but 240 g. Hand-warmer pockets lined with fleece, elastic binding around the armholes.',
     'Jackets', 'Ostrel', 'black', 'M', 169.00, 8, true),
    (609, 'JKT-8300-OLV-L', 'moorland-wax-jacket-olive-l', 'Moorland Wax Jacket',
     'Heavy waxed cotton with a corduroy collar, a two-way brass zip and a game pocket you can hose out. It turns the rain for an afternoon and smells like a stable, in the best sense. Do not machine wash, sponge with cold water and rewax each autumn.',
     'Jackets', 'Hollin & Rook', 'olive', 'L', 279.00, 3, true),
    (610, 'JKT-8400-YEL-116', 'splash-kids-raincoat-yellow-116', 'Splash Kids Raincoat',
     'Soft PU raincoat with welded seams, a detachable hood that comes off when it snags on a climbing frame, and reflective piping. Free of PVC and phthalates. Grows with the child thanks to cuffs that can be turned out by 4 cm.',
     'Jackets', 'Bimbelo', 'yellow', '116', 44.00, 18, true),
    (611, 'JKT-8401-BLU-116', 'splash-kids-raincoat-blue-116', 'Splash Kids Raincoat',
     'Blue with white clouds, size 116 for about six-year-olds. Welded seams hold back 8,000 mm of water, the hood is fastened with snaps for safety. Wipe with a damp cloth or wash at 40 °C inside out.',
     'Jackets', 'Bimbelo', 'blue', '116', 44.00, 6, true),
    (612, 'JKT-8500-LIM-L', 'commuter-wind-vest-lime-l', 'Commuter Wind Vest',
     'Paper-thin wind protection for cyclists: 98 g, mesh at the back, reflective stripes all round that light up in headlights from 150 m. Goes into a jersey pocket. Long tail, silicone gripper at the hem.',
     'Jackets', 'Velkari', 'lime', 'L', 55.00, 12, true);

-- Shirts
insert into public.shop_product
    (id, sku, slug, name, description, category, brand, colour, size, price, stock, is_active)
values
    (701, 'SHT-9001-WHT-M', 'harbour-shirt-white-m', 'Harbour Shirt',
     'Oxford-weave organic cotton with a button-down collar and mother-of-pearl buttons. Cut straight, gets softer with every wash, looks decent even when you have slept in it. Iron damp at medium heat.',
     'Shirts', 'Hollin & Rook', 'white', 'M', 59.00, 25, true),
    (702, 'SHT-9002-BLU-M', 'harbour-shirt-blue-m', 'Harbour Shirt',
     'Sky-blue Oxford cotton, size M, with a box pleat at the back and a locker loop. The yarn is dyed before weaving, therefore the colour holds at 60 °C. Buttons are mother-of-pearl, a spare is sewn inside.',
     'Shirts', 'Hollin & Rook', 'blue', 'M', 59.00, 16, true),
    (703, 'SHT-9003-BLU-XL', 'harbour-shirt-xl-blue', 'Harbour Shirt XL',
     'Roomier across chest and shoulders and 4 cm longer in body and sleeve than the standard cut, for broad or tall people. The fabric is the same sky-blue organic Oxford, washable at 60 °C. Chest measures 128 cm.',
     'Shirts', 'Hollin & Rook', 'blue', 'XL', 64.00, 4, true),
    (704, 'SHT-9100-GRY-M', 'merino-tee-150-grey-m', 'Merino Tee 150',
     'Fine merino of 18.5 micron and 150 g/m² that does not itch and does not smell, even after three days on the trail. Flat seams under the rucksack straps. Wool wash at 30 °C, dry flat, and keep moths away with cedar. Mulesing-free.',
     'Shirts', 'Ostrel', 'grey', 'M', 69.00, 20, true),
    (705, 'SHT-9101-GRN-M', 'merino-tee-150-green-m', 'Merino Tee 150',
     'Fir green and light as a breeze, for travelling with one small bag. It regulates warmth in both directions, dries in an hour and packs to the size of an orange. Mulesing-free merino from farms we can name.',
     'Shirts', 'Ostrel', 'green', 'M', 69.00, 7, true),
    (706, 'SHT-9102-GRY-M', 'merino-long-sleeve-200-grey-m', 'Merino Long Sleeve 200',
     'The heavier sister for autumn: 200 g/m² with long sleeves, a quarter zip and a slightly dropped back. Worn next to the skin it makes a good base layer under fleece. Wash in the wool programme, never in the dryer.',
     'Shirts', 'Ostrel', 'grey', 'M', 89.00, 9, true),
    (707, 'SHT-9200-RED-L', 'lumber-flannel-red-check-l', 'Lumber Flannel',
     'Brushed on both sides, 210 g/m², in a red-and-black check that your grandfather would recognise. Double-stitched seams, two flap pockets, long enough to stay tucked in while you stack wood. It shrinks by about two per cent in the first wash.',
     'Shirts', 'Hollin & Rook', 'red check', 'L', 72.00, 11, true),
    (708, 'SHT-9201-GRN-L', 'lumber-flannel-green-check-l', 'Lumber Flannel',
     'Green and cream check, napped cotton, warm like a blanket with sleeves. The chest pockets close with horn-look buttons made from nuts, not from horn. Wash at 40 °C and expect a little shrinking at first.',
     'Shirts', 'Hollin & Rook', 'green check', 'L', 72.00, 0, true),
    (709, 'SHT-9300-WHT-L', 'linen-ete-white-l', 'Linen Été',
     'Loose summer shirt of Normandy flax with a stand-up collar and three-quarter sleeves. Creases are part of the charm. The cloth weighs 140 g/m², cools the skin and may be washed at 40 °C, preferably hung up dripping.',
     'Shirts', 'Fernhush', 'white', 'L', 79.00, 13, true),
    (710, 'SHT-9400-STR-M', 'bretonne-rayee-striped-m', 'Bretonne Rayée',
     'Boat-neck sweater shirt with twenty-one navy stripes on ecru, as worn by people who own a boat and by people who do not. Dense cotton jersey of 240 g/m², side slits, drop shoulder. Wash inside out.',
     'Shirts', 'Hollin & Rook', 'striped', 'M', 49.00, 19, true),
    (711, 'SHT-9500-KID-128', 'dino-tee-green-128', 'Dino Tee',
     'Organic jersey with a stegosaurus whose felt plates stand up from the back. Soft neck tape instead of a scratchy label. Printing is water-based, and the plates survive the washing machine at 40 °C if the shirt is turned inside out.',
     'Shirts', 'Bimbelo', 'green', '128', 19.90, 30, true);

-- Camp Cookware
insert into public.shop_product
    (id, sku, slug, name, description, category, brand, colour, size, price, stock, is_active)
values
    (801, 'CKW-1001-ALU', 'trail-pot-set-aluminium-1-8-l-1-0-l', 'Trail Pot Set',
     'Two hard-anodised pots, one lid that is also a frying pan, and a gripper that fits all of them. They nest with room for a 230 g gas cartridge inside. 540 g altogether. The coating tolerates wooden spoons, not steel wool.',
     'Camp Cookware', 'Zwiebold', 'aluminium', '1.8 l + 1.0 l', 54.00, 21, true),
    (802, 'CKW-1002-TIT', 'titanium-mug-pot-0-75-l', 'Titanium Mug Pot',
     'Seventy-five centilitres of thin titanium with folding handles and a pouring lip, just 102 g. Boils noodles for one and holds the coffee afterwards. The blue and violet colours that appear over the flame are harmless and permanent.',
     'Camp Cookware', 'Zwiebold', 'titanium', '0.75 l', 62.00, 9, true),
    (803, 'CKW-1010-BRS', 'spirit-burner-klara-brass', 'Spirit Burner Klara',
     'Silent brass stove that burns methylated spirits, as simple as an oil lamp. One filling of 60 ml lasts for twenty-five minutes and brings half a litre of water to the boil in eight. A screw lid with seal keeps the remaining fuel in. Use it outdoors only.',
     'Camp Cookware', 'Zwiebold', 'brass', null, 38.00, 12, true),
    (804, 'CKW-1020-SLV', 'gas-stove-sprat-silver', 'Gas Stove Sprat',
     'Screw it on a standard cartridge, fold out three arms and you cook at 2,600 watts. With 83 g it is smaller than a bar of soap. The piezo igniter works up to 3,000 m, above that bring matches. Gas cartridge not included.',
     'Camp Cookware', 'Zwiebold', 'silver', null, 45.00, 27, true),
    (805, 'CKW-1021-GAS', 'gas-cartridge-230-230-g', 'Gas Cartridge 230',
     'Threaded valve cartridge with a four-season mix of butane, isobutane and propane, for stoves with EN 417 connection. Boils around fourteen litres of water. Sent by road only and never by air, two pieces at most in one parcel.',
     'Camp Cookware', 'Zwiebold', null, '230 g', 7.90, 0, true),
    (806, 'CKW-1030-BLK', 'campfire-dutch-oven-6-black-6-l', 'Campfire Dutch Oven 6',
     'Six litres of seasoned cast iron on three feet, with a rimmed lid for a layer of coals on top. Bread, goulash and peach cobbler all come out of it. 9.2 kg. Clean with hot water and a brush, dry it on the fire and rub with oil, no soap.',
     'Camp Cookware', 'Zwiebold', 'black', '6 l', 89.00, 6, true),
    (807, 'CKW-1031-BLK', 'lid-lifter-black-28-cm', 'Lid Lifter',
     'Forged hook with a spiral handle that keeps your knuckles away from the embers when you look under a hot cast-iron lid. Also good for hanging a kettle on a chain. 390 g of plain steel with a hole for a leather loop.',
     'Camp Cookware', 'Zwiebold', 'black', '28 cm', 14.90, 25, true),
    (808, 'CKW-1040-STL', 'spork-trio-steel-set-of-3', 'Spork Trio',
     'Spoon at one end, fork at the other, and a serrated edge for cheese. Three pieces in brushed stainless steel with one ring to keep them together. Dishwasher proof. Left-handers will find that the serration works for them as well.',
     'Camp Cookware', 'Zwiebold', 'steel', 'set of 3', 12.50, 60, true),
    (809, 'CKW-1050-GRN', 'enamel-mug-tarn-green-0-35-l', 'Enamel Mug Tarn',
     'Steel mug fired twice with enamel the colour of a mountain lake, with a black rim. Stands on the stove edge without fuss and chips with dignity if you drop it on a rock. 135 g. Not suited for the microwave.',
     'Camp Cookware', 'Grindlewick', 'green', '0.35 l', 11.00, 48, true),
    (810, 'CKW-1051-RED', 'enamel-mug-tarn-red-0-35-l', 'Enamel Mug Tarn',
     'Red enamel outside, cream inside, one third of a litre. Heat your soup directly over the gas flame, but mind the handle. Goes into the dishwasher, though the shine lasts longer if washed by hand.',
     'Camp Cookware', 'Grindlewick', 'red', '0.35 l', 11.00, 0, true),
    (811, 'CKW-1060-GRY', 'water-filter-brook-grey', 'Water Filter Brook',
     'Hollow-fibre membrane with pores of 0.1 micron that holds back bacteria and protozoa, but neither viruses nor salt. Squeeze a litre through in forty seconds. Good for 4,000 litres if you backflush it. Frost ruins the fibres, so take it into your sleeping bag in winter.',
     'Camp Cookware', 'Murrelet', 'grey', null, 44.00, 14, true),
    (812, 'CKW-1070-ORG', 'folding-sink-orange-12-l', 'Folding Sink',
     'Coated fabric basin that stands by itself once filled, with two handles for carrying it to the tap. Washes dishes in the morning and feet in the evening, please in that order. Weighs 220 g and folds as flat as a pizza box.',
     'Camp Cookware', 'Lummerhof', 'orange', '12 l', 23.00, 17, true);

-- Coffee
insert into public.shop_product
    (id, sku, slug, name, description, category, brand, colour, size, price, stock, is_active)
values
    (901, 'COF-2001-250', 'house-blend-dunkelbach-250-g', 'House Blend Dunkelbach',
     'Whole beans, roasted in a drum for eighteen minutes: chocolate, hazelnut, barely any acidity. Sixty per cent arabica from Honduras and forty per cent robusta from India. Suited for fully automatic machines and moka pots. Best within eight weeks of opening.',
     'Coffee', 'Dunkelbach', null, '250 g', 8.90, 80, true),
    (902, 'COF-2002-1000', 'house-blend-dunkelbach-1-kg-1000-g', 'House Blend Dunkelbach 1 kg',
     'Kilo bag of the house blend with an aroma valve and a clip, for offices and large households. Drum-roasted beans from Honduras and India with notes of cocoa and nuts. Buying the kilo saves almost six euros against four small bags.',
     'Coffee', 'Dunkelbach', null, '1000 g', 29.90, 34, true),
    (903, 'COF-2010-250', 'yirga-sunrise-250-g', 'Yirga Sunrise',
     'Light-roasted Ethiopian single origin grown at 2,000 m and washed in spring water. Jasmine, bergamot and a hint of apricot, made for pour-over and not for milk. Whole beans only. The roasting date is stamped on the bottom.',
     'Coffee', 'Dunkelbach', null, '250 g', 12.50, 22, true),
    (904, 'COF-2020-250', 'nachtruhe-decaf-250-g', 'Nachtruhe Decaf',
     'Caffeine is removed with sparkling water and carbon dioxide, no solvents involved, which leaves less than 0.1 per cent. A medium roast from Peru with caramel and malt that lets you sleep after dinner. Ground for filter.',
     'Coffee', 'Dunkelbach', null, '250 g', 10.90, 16, true),
    (905, 'COF-2100-ALU', 'moka-pot-aluminium-3-cups', 'Moka Pot',
     'Eight-sided stove-top brewer in polished aluminium for three small cups. Fill water up to the valve, spoon in coffee without pressing it, and wait for the gurgle. Works on gas, electric and ceramic hobs but not on induction. Rinse without detergent.',
     'Coffee', 'Grindlewick', 'aluminium', '3 cups', 27.00, 19, true),
    (906, 'COF-2101-STL', 'moka-pot-grande-steel-6-cups', 'Moka Pot Grande',
     'Stainless steel version for six cups with a thick base that induction cookers recognise. The gasket is silicone and easy to change, the handle stays cool. Dishwasher safe, unlike the little aluminium one.',
     'Coffee', 'Grindlewick', 'steel', '6 cups', 46.00, 7, true),
    (907, 'COF-2110-GLS', 'pour-over-cone-glass-14-cups', 'Pour-Over Cone',
     'Borosilicate dripper with spiral ribs and a cork collar, to be set on any mug or jug up to 11 cm wide. It takes paper size 4. Pour in circles, thirty seconds of blooming first, and the cup stays clear and clean.',
     'Coffee', 'Grindlewick', 'glass', '1–4 cups', 24.00, 15, true),
    (908, 'COF-2111-FLT', 'paper-filters-no-4-natural-100-pieces', 'Paper Filters No. 4',
     'Unbleached paper from certified forests, crimped on two sides so that the seams hold. One hundred pieces in a box with a tear-out window. Compost them together with the grounds, roses love it.',
     'Coffee', 'Grindlewick', 'natural', '100 pieces', 4.20, 120, true),
    (909, 'COF-2200-BLK', 'hand-grinder-birke-black-30-g', 'Hand Grinder Birke',
     'Conical steel burrs of 38 mm, adjustable in forty clicks from espresso to French press. The crank folds flat and the hopper takes 30 g, enough for two mugs. Two ball bearings keep the shaft from wobbling. Clean with the brush supplied, never under the tap.',
     'Coffee', 'Grindlewick', 'black', '30 g', 79.00, 10, true),
    (910, 'COF-2210-GLS', 'french-press-brume-glass-1-0-l', 'French Press Brume',
     'One litre of glass in an oak frame, with a double mesh that keeps the mud down. Coarse grounds, four minutes, press slowly. The beaker is a standard size and can be replaced for little money if it meets the tap.',
     'Coffee', 'Grindlewick', 'glass', '1.0 l', 39.00, 13, true),
    (911, 'COF-2220-BLK', 'travel-tumbler-black-0-36-l', 'Travel Tumbler',
     'Double-walled steel cup which holds heat for five hours and locks with a turn, so it can lie in a bag. Fits the holder in most cars and under most espresso spouts. 270 g, lid takes apart into three pieces for cleaning.',
     'Coffee', 'Murrelet', 'black', '0.36 l', 32.00, 28, true),
    (912, 'COF-2300-250', 'barley-brew-250-g', 'Barley Brew',
     'Roasted malted barley, chicory and fig, ground for the pot. Naturally free of stimulants, therefore suitable for children and late evenings, but it contains gluten. Stir two teaspoons into hot milk or brew it in the press.',
     'Coffee', 'Dunkelbach', null, '250 g', 6.50, 26, true);

-- Lamps
insert into public.shop_product
    (id, sku, slug, name, description, category, brand, colour, size, price, stock, is_active)
values
    (1001, 'LMP-310', 'glow-lantern-white', 'Glow Lantern',
     'Camp lantern with warm-white light, dimmable from 5 to 300 lumens by turning the base. The battery runs 12 hours at medium brightness and charges by USB-C in three. A hook and a magnet hold it in the tent or under a car bonnet. IPX4, 240 g.',
     'Lamps', 'Glimmet', 'white', null, 39.00, 20, true),
    (1002, 'LMP-3100', 'glow-lantern-pro-white', 'Glow Lantern Pro',
     'Bigger brother with 800 lumens, a red night mode and a power bank function: it can refill a telephone one and a half times. Lasts 20 hours at medium setting. Dustproof and waterproof to IP67. 520 g, with a stand for tripods.',
     'Lamps', 'Glimmet', 'white', null, 69.00, 9, true),
    (1003, 'LMP-3200-BLK', 'mole-headlamp-black', 'Mole Headlamp',
     '400 lumens straight ahead, 90 g on the forehead. A red light preserves night vision and the lock prevents it from switching on in the rucksack. Rechargeable by USB-C, 6 hours at full and 60 at low power. Headband washable at 30 °C.',
     'Lamps', 'Glimmet', 'black', null, 49.00, 32, true),
    (1004, 'LMP-3201-KID', 'mole-headlamp-junior-green', 'Mole Headlamp Junior',
     'Gentle 60 lumens that will not blind brothers and sisters, a breakaway strap, and a switch that turns itself off after twenty minutes. Runs on three AAA cells, which are included and secured by a screw. From four years.',
     'Lamps', 'Glimmet', 'green', null, 24.00, 18, true),
    (1005, 'LMP-3300-BRS', 'storm-lantern-petra-brass-26-cm', 'Storm Lantern Petra',
     'Paraffin lamp with a glass chimney and a wick of 14 mm, the kind that hung in stables a hundred years ago. One filling of 300 ml burns for about twenty hours and the flame withstands wind. Do not leave it unattended and do not use it in tents.',
     'Lamps', 'Glimmet', 'brass', '26 cm', 34.00, 11, true),
    (1006, 'LMP-3400-OAK', 'desk-lamp-quiet-oak-45-cm', 'Desk Lamp Quiet',
     'Oak arm, linen-coloured shade, and a LED that shows colours truthfully (CRI 95). Tap the base to choose between three tones from candle to daylight. Consumes 9 watts, and the light source can be exchanged by the user. Cable 1.8 m.',
     'Lamps', 'Glimmet', 'oak', '45 cm', 119.00, 6, true),
    (1007, 'LMP-3401-BLK', 'desk-lamp-quiet-black-45-cm', 'Desk Lamp Quiet',
     'Black-stained ash instead of oak, otherwise identical with the lighter model: 9 watt LED, CRI 95, three tones at a tap. The foot is weighted so that the lamp does not tip when stretched out fully. Fused plug, 1.8 m cord.',
     'Lamps', 'Glimmet', 'black', '45 cm', 109.00, 0, true),
    (1008, 'LMP-3500-WHT', 'string-lights-veranda-warm-white-10-m', 'String Lights Veranda',
     'Ten metres of cable with twenty shatterproof bulbs for balcony, pergola or awning. Outdoor approved to IP44, runs on mains through a 24-volt adapter. Up to four strings can be coupled. One failed bulb does not darken the rest.',
     'Lamps', 'Glimmet', 'warm white', '10 m', 36.00, 23, true),
    (1009, 'LMP-3510-SOL', 'solar-path-lights-black-set-of-4', 'Solar Path Lights',
     'Four stakes that drink sunlight by day and shine for up to eight hours by night. They switch on by themselves at dusk. The cells inside are ordinary AA accumulators and can be renewed after some years. 10 lumens each, height 38 cm.',
     'Lamps', 'Glimmet', 'black', 'set of 4', 29.00, 0, true),
    (1010, 'LMP-3600-MOO', 'nightlight-moendchen-milk-white-12-cm', 'Nightlight Möndchen',
     'Soft silicone moon that a child may squeeze, drop and take to bed. A pat changes brightness and a longer one starts the 30-minute timer. It recharges through a micro cable in the underside and glows for nine nights without any blue light.',
     'Lamps', 'Bimbelo', 'milk white', '12 cm', 26.00, 17, true),
    (1011, 'LMP-3700-RED', 'candle-lantern-tawny-red-16-cm', 'Candle Lantern Tawny',
     'Collapsible lantern for a single tea light, withdrawn after the handle was found to become hot. Customers who still own one may return it for a refund without a receipt. Aluminium and glass, 16 cm high.',
     'Lamps', 'Lummerhof', 'red', '16 cm', 22.00, 8, false),
    (1012, 'LMP-3900-BAT', 'rechargeable-cells-aa-pack-of-4', 'Rechargeable Cells AA',
     'Nickel-metal hydride cells with 2,500 mAh and low self-discharge: after a year in a drawer they still hold 70 per cent. Good for a thousand cycles. Charge them in any NiMH charger, and bring dead ones back to us.',
     'Lamps', 'Glimmet', null, 'pack of 4', 14.90, 55, true);

-- Bicycle Accessories
insert into public.shop_product
    (id, sku, slug, name, description, category, brand, colour, size, price, stock, is_active)
values
    (1101, 'BIC-4001-BLK', 'pannier-bag-ferry-black-22-l', 'Pannier Bag Ferry',
     'Single roll-top bag of welded tarpaulin for rear racks with tubes from 8 to 16 mm. The hooks lock and can be opened with one finger on the handle. Completely watertight, reflective field on both sides. 880 g, load up to 9 kg.',
     'Bicycle Accessories', 'Velkari', 'black', '22 l', 69.00, 15, true),
    (1102, 'BIC-4002-YEL', 'pannier-bag-ferry-yellow-22-l', 'Pannier Bag Ferry',
     'Taxi-yellow tarpaulin that car drivers cannot claim to have missed. 22 litres, roll closure, lockable hooks that fit 8 to 16 mm tubes. Sold singly, and fits either side of the rack.',
     'Bicycle Accessories', 'Velkari', 'yellow', '22 l', 69.00, 10, true),
    (1103, 'BIC-4003-PAR', 'pannier-bag-ferry-pair-black-2-22-l', 'Pannier Bag Ferry Pair',
     'Left and right together for touring: forty-four litres of watertight space in two black roll-top bags, with a shoulder strap. Cheaper than two single ones by nine euros. Replacement hooks are kept in stock for at least ten years.',
     'Bicycle Accessories', 'Velkari', 'black', '2 × 22 l', 129.00, 5, true),
    (1104, 'BIC-4100-BLK', 'pump-pocket-black-18-cm', 'Pump Pocket',
     'Aluminium mini pump with a flexible hose that saves your valve stem. Fits both thin and car-type valves without rebuilding. Reaches 7 bar with some patience. 110 g, frame holder included.',
     'Bicycle Accessories', 'Velkari', 'black', '18 cm', 26.00, 24, true),
    (1105, 'BIC-4101-STL', 'floor-pump-standard-steel-65-cm', 'Floor Pump Standard',
     'Workshop pump with a broad cast foot and a dial you can read without glasses. Inflates a city tyre in a dozen strokes and goes up to 11 bar. The head clamps on all usual valves, and all seals can be bought separately.',
     'Bicycle Accessories', 'Velkari', 'steel', '65 cm', 44.00, 11, true),
    (1106, 'BIC-4200-RED', 'tail-light-firefly-red', 'Tail Light Firefly',
     'Rear light with brake detection: it flares up when you slow down. USB-C, 15 hours, visible from the side, attaches with a rubber band to seat posts of any shape. Approved for road use in Germany. 34 g.',
     'Bicycle Accessories', 'Velkari', 'red', null, 22.00, 37, true),
    (1107, 'BIC-4201-WHT', 'front-light-kestrel-black', 'Front Light Kestrel',
     '70 lux with a sharp upper edge, so oncoming riders are not dazzled. Three hours at full beam and nine in town mode, with a remaining-time display. Handlebar clamp without tools for diameters of 22 to 35 mm. Road approved.',
     'Bicycle Accessories', 'Velkari', 'black', null, 54.00, 13, true),
    (1108, 'BIC-4300-GLD', 'bell-ding-brass-5-cm', 'Bell Ding',
     'One turned brass dome, one hammer, a tone that lingers for seven seconds. Pedestrians smile instead of jumping. For handlebars of 22.2 to 31.8 mm, tightened with a hex key of 3 mm.',
     'Bicycle Accessories', 'Velkari', 'brass', '5 cm', 16.90, 42, true),
    (1109, 'BIC-4400-BLK', 'folding-lock-hinge-black-90-cm', 'Folding Lock Hinge',
     'Six hardened steel links of 5 mm unfold to 90 cm, enough for frame, wheel and lamp post. Two keys, number-coded so that more can be made. The holder screws on the bottle bosses and does not rattle. 1.1 kg.',
     'Bicycle Accessories', 'Velkari', 'black', '90 cm', 79.00, 8, true),
    (1110, 'BIC-4401-BLK', 'cable-lock-cafe-black-120-cm', 'Cable Lock Café',
     'Spiral cable of 8 mm with a four-digit code for the ice-cream stop. It deters the opportunist, not a thief with a cutter. 1.2 m, 260 g, stretches over a helmet and two panniers as well.',
     'Bicycle Accessories', 'Velkari', 'black', '120 cm', 19.90, 26, true),
    (1111, 'BIC-4500-GRY-M', 'helmet-pebble-grey-m-5458-cm', 'Helmet Pebble',
     'City helmet with eleven vents, a visor and a dial at the back for fine adjustment. In-mould shell, 290 g, with a low-friction liner against rotational impact. Must be replaced after a crash, even if no crack is visible.',
     'Bicycle Accessories', 'Velkari', 'grey', 'M 54–58 cm', 85.00, 9, true),
    (1112, 'BIC-4501-WHT-M', 'helmet-pebble-white-m-5458-cm', 'Helmet Pebble',
     'Chalk white and cooler in the sun. Circumference 54 to 58 cm, eleven vents, pads that come out for washing. The buckle closes magnetically with one hand, in mittens too. 290 g.',
     'Bicycle Accessories', 'Velkari', 'white', 'M 54–58 cm', 85.00, 0, true),
    (1113, 'BIC-4600-RPR', 'tube-patch-box', 'Tube Patch Box',
     'Classic flat tin: seven patches, sandpaper, vulcanising solution and a piece of chalk to mark the hole. Tyre levers are not in it. Will mend bicycle tubes made of butyl, not those of latex or TPU.',
     'Bicycle Accessories', 'Velkari', null, 'box', 5.90, 90, true);

-- Kitchen
insert into public.shop_product
    (id, sku, slug, name, description, category, brand, colour, size, price, stock, is_active)
values
    (1201, 'KIT-5001-STL', 'chef-s-knife-anselm-steel-20-cm', 'Chef''s Knife Anselm',
     'Forged from one bar of carbon-rich stainless steel and hardened to 58 HRC, with a handle of smoked oak. The blade of 20 cm rocks through herbs and walks through pumpkins. Wash by hand, dry at once, sharpen on a wet stone at fifteen degrees.',
     'Kitchen', 'Zwiebold', 'steel', '20 cm', 119.00, 10, true),
    (1202, 'KIT-5002-STL', 'paring-knife-anselm-steel-9-cm', 'Paring Knife Anselm',
     'Short, pointed and nimble, for hulling strawberries and taking the eyes out of potatoes. It comes from the same forge as the big one: 58 HRC, smoked oak, 9 cm. Keep it out of the dishwasher.',
     'Kitchen', 'Zwiebold', 'steel', '9 cm', 49.00, 18, true),
    (1203, 'KIT-5010-CST', 'cast-iron-skillet-black-28-cm', 'Cast Iron Skillet',
     'Pre-seasoned pan that sears a steak and then moves into the oven, on any hob including induction. It weighs 2.9 kg and takes time to heat, after that it stays hot. The patina builds up with use and wants neither soap nor soaking.',
     'Kitchen', 'Zwiebold', 'black', '28 cm', 59.00, 14, true),
    (1204, 'KIT-5011-CST', 'cast-iron-skillet-lid-black-28-cm', 'Cast Iron Skillet Lid',
     'Heavy cover with a knob of steel for the 28 cm pan. Small bumps on the underside let the steam drip back onto the roast. It can be used as a flat griddle in its own right. 2.1 kg.',
     'Kitchen', 'Zwiebold', 'black', '28 cm', 39.00, 0, true),
    (1205, 'KIT-5020-RED', 'enamel-casserole-clemence-red-4-7-l', 'Enamel Casserole Clémence',
     'Round pot of enamelled cast iron in cherry red for stews that take all Sunday. Holds 4.7 litres, for four to six people. Oven-proof to 250 °C with its knob, happy on induction, and dishwasher safe though it prefers the sink.',
     'Kitchen', 'Grindlewick', 'red', '4.7 l', 149.00, 5, true),
    (1206, 'KIT-5021-BLU', 'enamel-casserole-clemence-blue-4-7-l', 'Enamel Casserole Clémence',
     'Midnight blue, cream inside, 5.3 kg with the lid on. The light enamel lets you watch the onions brown. Same 4.7 litres and 250 °C limit as the red pot. Start on low heat, cast iron does not like to be startled.',
     'Kitchen', 'Grindlewick', 'blue', '4.7 l', 149.00, 3, true),
    (1207, 'KIT-5030-OAK', 'cutting-board-end-grain-oak-40-30-cm', 'Cutting Board End Grain',
     'Little blocks of oak stand upright so that the blade slips between the fibres instead of across them, which keeps edges keen for longer. A juice groove on one side, plain on the other. 4.5 cm thick, 3.8 kg. Oil it each month.',
     'Kitchen', 'Lummerhof', 'oak', '40 × 30 cm', 74.00, 12, true),
    (1208, 'KIT-5031-OIL', 'board-oil-250-ml', 'Board Oil',
     'Cold-pressed linseed and orange-peel oil for wooden boards, spoons and salad bowls. Rub in, wait a quarter of an hour, wipe off the surplus. Spread used cloths out to dry outdoors, since they can ignite by themselves when crumpled up.',
     'Kitchen', 'Lummerhof', null, '250 ml', 12.90, 44, true),
    (1209, 'KIT-5040-GLS', 'fermenting-jar-boettcher-glass-3-0-l', 'Fermenting Jar Böttcher',
     'Three-litre glass with a water-lock lid and two stone weights, for sauerkraut, kimchi and pickled cucumbers. Gas bubbles out, air cannot get in. Boil-proof glass, wide mouth of 14 cm. Recipe leaflet for first-timers is included.',
     'Kitchen', 'Grindlewick', 'glass', '3.0 l', 42.00, 16, true),
    (1210, 'KIT-5050-WHT', 'kitchen-scale-gramm-white-5-kg', 'Kitchen Scale Gramm',
     'Flat glass plate with hidden digits that weighs up to 5 kg in steps of one gram. A timer helps with dough and coffee. Charged by USB-C about twice a year, and turns itself off after three minutes.',
     'Kitchen', 'Grindlewick', 'white', '5 kg', 35.00, 27, true),
    (1211, 'KIT-5060-LIN', 'tea-towel-pair-natural-blue-50-70-cm', 'Tea Towel Pair',
     'Half-linen with a blue stripe and a hanging loop, thirsty from the third wash on. Two pieces. They polish glasses without lint and stand 60 °C. Softener makes them lazy, leave it out.',
     'Kitchen', 'Fernhush', 'natural/blue', '50 × 70 cm', 18.00, 50, true),
    (1212, 'KIT-5070-STL', 'thermometer-probe-steel-12-cm', 'Thermometer Probe',
     'Folding needle which shows the core temperature within three seconds, from minus 50 to plus 300 °C. Splashproof, with a magnet for the fridge door. Bread is done at 96, a leg of lamb at 58. Button cell included.',
     'Kitchen', 'Grindlewick', 'steel', '12 cm', 21.00, 31, true),
    (1213, 'KIT-5080-BLK', 'spice-mill-duo-black-18-cm', 'Spice Mill Duo',
     'Two mills with ceramic grinders, one for salt and one for pepper, marked by a groove you can feel in the dark. Beech body stained black. The coarseness is set with the knob on the top. 25-year guarantee on the grinder.',
     'Kitchen', 'Grindlewick', 'black', '18 cm', 48.00, 0, true);

-- Home Textiles
insert into public.shop_product
    (id, sku, slug, name, description, category, brand, colour, size, price, stock, is_active)
values
    (1301, 'HTX-6001-GRY', 'wool-blanket-shieling-grey-140-200-cm', 'Wool Blanket Shieling',
     'Herringbone throw from the wool of heath sheep, spun and woven within forty kilometres. A little coarse, very warm, 1.4 kg. Hang it in the fog now and then, and wash only when truly necessary, cold and by hand.',
     'Home Textiles', 'Fernhush', 'grey', '140 × 200 cm', 129.00, 9, true),
    (1302, 'HTX-6002-OCH', 'wool-blanket-shieling-ochre-140-200-cm', 'Wool Blanket Shieling',
     'Ochre dyed with onion skins and dyer''s chamomile, so each piece is a shade of its own. Heath wool in herringbone weave, 140 by 200 cm, fringed on the short sides. The dye may fade gently in a sunny window.',
     'Home Textiles', 'Fernhush', 'ochre', '140 × 200 cm', 129.00, 4, true),
    (1303, 'HTX-6010-WHT', 'linen-bed-set-white-135-200-cm', 'Linen Bed Set',
     'Stonewashed flax duvet cover with a pillowcase of 80 × 80 cm, soft from the first night. It takes up a fifth of its weight in moisture before it feels damp, a blessing for those who sweat. Coconut buttons, 60 °C wash, no ironing.',
     'Home Textiles', 'Fernhush', 'white', '135 × 200 cm', 169.00, 7, true),
    (1304, 'HTX-6011-SAG', 'linen-bed-set-sage-135-200-cm', 'Linen Bed Set',
     'Sage green with a greyish cast, prewashed with pumice. One duvet cover, one pillowcase 80 × 80 cm, both of European flax at 165 g/m². Wash dark at first, the colour bleeds slightly in the first two rounds.',
     'Home Textiles', 'Fernhush', 'sage', '135 × 200 cm', 169.00, 0, true),
    (1305, 'HTX-6012-WHT', 'linen-bed-set-double-white-200-220-cm', 'Linen Bed Set Double',
     'For the big bed: one cover of 200 × 220 cm and two pillowcases in white stonewashed flax. Closes with a hidden row of coconut buttons. The seams are felled and will outlive several mattresses. 60 °C, line dry.',
     'Home Textiles', 'Fernhush', 'white', '200 × 220 cm', 249.00, 3, true),
    (1306, 'HTX-6020-BLU', 'bath-towel-lagoon-blue-70-140-cm', 'Bath Towel Lagoon',
     'Long-staple cotton terry of 550 g/m², in a blue somewhere between slate and sea. Dries you in one go and dries itself by the evening. Tumble now and then to keep the loops fluffy. Certified free from harmful substances.',
     'Home Textiles', 'Fernhush', 'blue', '70 × 140 cm', 28.00, 36, true),
    (1307, 'HTX-6021-BLU', 'hand-towel-lagoon-blue-50-100-cm', 'Hand Towel Lagoon',
     'Smaller companion for the basin, with a loop at the short edge. Terry of 550 g/m², same slate-to-sea blue as the large one. Wash at 60 °C with similar colours, and shake before hanging up.',
     'Home Textiles', 'Fernhush', 'blue', '50 × 100 cm', 16.00, 41, true),
    (1308, 'HTX-6030-JUT', 'doormat-flur-natural-60-40-cm', 'Doormat Flur',
     'Coconut fibre on a natural rubber back, 20 mm high, scratchy enough to take the mud off a walking boot. For covered entrances. Beat it out every week, and do not be alarmed if it sheds for the first month.',
     'Home Textiles', 'Lummerhof', 'natural', '60 × 40 cm', 26.00, 20, true),
    (1309, 'HTX-6040-GRN', 'hammock-siesta-green-350-150-cm', 'Hammock Siesta',
     'Brazilian-style hanging bed of cotton for two, load up to 200 kg, woven in bands of leaf and moss. Lie across rather than along it and your back stays flat. Suspension ropes included, trees are not.',
     'Home Textiles', 'Lummerhof', 'green', '350 × 150 cm', 84.00, 11, true),
    (1310, 'HTX-6041-STP', 'hammock-straps-black-2-3-m', 'Hammock Straps',
     'Wide polyester bands that spare the bark, with fifteen loops each for adjusting the height in seconds. Carries 300 kg, weighs 420 g the pair. Two steel carabiners are part of the set.',
     'Home Textiles', 'Lummerhof', 'black', '2 × 3 m', 24.00, 22, true),
    (1311, 'HTX-6050-LAV', 'lavender-sachets-lilac-set-of-5', 'Lavender Sachets',
     'Little linen cushions filled with dried blossoms from a hillside farm. Put them among the jumpers and moths look for another home, or under the pillow if sleep will not come. Squeeze to refresh the scent, replace after a year.',
     'Home Textiles', 'Fernhush', 'lilac', 'set of 5', 15.50, 29, true);

-- Toys
insert into public.shop_product
    (id, sku, slug, name, description, category, brand, colour, size, price, stock, is_active)
values
    (1401, 'TOY-7001-WOD', 'building-blocks-rainbow-multicoloured-60-pieces', 'Building Blocks Rainbow',
     'Sixty beech blocks in eleven shapes, stained with food-safe colours that let the grain show. Packed in a cotton sack with a drawstring. Edges are rounded by hand. From twelve months, and tested for saliva and teething.',
     'Toys', 'Bimbelo', 'multicoloured', '60 pieces', 45.00, 18, true),
    (1402, 'TOY-7002-WOD', 'building-blocks-natural-100-pieces', 'Building Blocks Natural',
     'One hundred unpainted beech pieces with the warm smell of a joiner''s shop. Arches, pillars and planks all share one base measure so that bridges fit together. In a wooden box with wheels for tidying up. From one year.',
     'Toys', 'Bimbelo', 'natural', '100 pieces', 59.00, 9, true),
    (1403, 'TOY-7010-PLU', 'badger-barnaby-black-white-35-cm', 'Badger Barnaby',
     'Plush badger with a waistcoat that can be taken off and a nose of real wool felt. Filled with maize fibre instead of plastic. May be washed at 30 °C in a pillowcase, and will be patient about it. From birth.',
     'Toys', 'Bimbelo', 'black/white', '35 cm', 32.00, 21, true),
    (1404, 'TOY-7011-PLU', 'badger-barnaby-mini-black-white-15-cm', 'Badger Barnaby Mini',
     'Pocket edition of our badger, without the waistcoat, with a loop to hang on a satchel. Fifteen centimetres from snout to tail. Maize-fibre filling, embroidered eyes that nobody can pull out. Hand wash.',
     'Toys', 'Bimbelo', 'black/white', '15 cm', 16.00, 33, true),
    (1405, 'TOY-7020-TRN', 'wooden-railway-starter-natural-28-pieces', 'Wooden Railway Starter',
     'A figure of eight with a bridge, an engine, two wagons and a station, from beech and birch. Track width is the customary one, so pieces from the attic will fit. Magnets are riveted in. From three years.',
     'Toys', 'Bimbelo', 'natural', '28 pieces', 64.00, 0, true),
    (1406, 'TOY-7030-KIT', 'kite-swallow-red-yellow-140-cm', 'Kite Swallow',
     'Single-line delta that climbs in the lightest breeze and forgives beginners. Rods of fibreglass, ripstop sail, 40 m of line on a winder. Best flown at 2 to 4 Beaufort, far from power lines and thunder. From six years.',
     'Toys', 'Bimbelo', 'red/yellow', '140 cm', 38.00, 15, true),
    (1407, 'TOY-7040-MAG', 'pocket-magnifier-green-6', 'Pocket Magnifier',
     'Glass lens that enlarges six times, folding into a case with a ruler along its edge. For counting the legs of whatever crawled out from under the stone. A cord keeps it round the neck. From five years.',
     'Toys', 'Bimbelo', 'green', '6 ×', 13.50, 46, true),
    (1408, 'TOY-7050-PUZ', 'forest-floor-puzzle-multicoloured-120-pieces', 'Forest Floor Puzzle',
     'Thick cardboard giant of 90 × 60 cm, full of beetles, mushrooms and one hidden fox. Made from recycled board and printed with vegetable inks. For ages five to eight, or for two grandparents and a pot of tea.',
     'Toys', 'Bimbelo', 'multicoloured', '120 pieces', 22.00, 25, true),
    (1409, 'TOY-7060-GAM', 'board-game-herring-bay-25-players', 'Board Game Herring Bay',
     'Bid for boats, guess the weather and try not to net each other''s catch. A round takes forty-five minutes and nobody is thrown out before the end. Two to five players from eight years on. Rules in English, German and French.',
     'Toys', 'Bimbelo', null, '2–5 players', 34.00, 12, true),
    (1410, 'TOY-7070-SND', 'sandpit-tools-steel-wood-set-of-4', 'Sandpit Tools',
     'Shovel, rake, sieve and trowel made like real ones, with painted steel heads and ash handles cut for small hands. They survive being forgotten out in the rain. From three years, under the eyes of an adult.',
     'Toys', 'Bimbelo', 'steel/wood', 'set of 4', 29.00, 0, true),
    (1411, 'TOY-7080-WAG', 'handcart-bollo-blue-90-50-cm', 'Handcart Bollo',
     'Pull-along cart with pneumatic tyres and a folding frame, load 75 kg. Production has ended and spare wheels are supplied on request. Steel tube and polyester, brake on the rear axle.',
     'Toys', 'Bimbelo', 'blue', '90 × 50 cm', 159.00, 4, false);

-- Garden
insert into public.shop_product
    (id, sku, slug, name, description, category, brand, colour, size, price, stock, is_active)
values
    (1501, 'GRD-8001-STL', 'spade-digger-steel-110-cm', 'Spade Digger',
     'Head of boron steel with a tread for the boot, ash shaft, D-shaped grip. It goes through clay and small roots, and the blade can be re-sharpened with a file. 2.1 kg. Buried handles rot, so please hang it up.',
     'Garden', 'Knurr', 'steel', '110 cm', 54.00, 13, true),
    (1502, 'GRD-8002-STL', 'hand-trowel-steel-32-cm', 'Hand Trowel',
     'Stainless blade with a depth scale, for setting bulbs and evicting dandelions. The beech handle has a leather thong. Polished steel lets wet soil slide off. 210 g, ten-year guarantee.',
     'Garden', 'Knurr', 'steel', '32 cm', 19.00, 35, true),
    (1503, 'GRD-8010-GRN', 'watering-can-dew-green-9-l', 'Watering Can Dew',
     'Galvanised and powder-coated, nine litres, balanced so that it pours without slopping. Two brass roses: a fine one for seedlings and a coarse one for beans. The long neck reaches into the back row. Empty before frost.',
     'Garden', 'Knurr', 'green', '9 l', 46.00, 10, true),
    (1504, 'GRD-8011-GRY', 'watering-can-dew-zinc-grey-9-l', 'Watering Can Dew',
     'Bare zinc finish that grows dull and beautiful outdoors. Nine litres, one coarse brass rose, crossbar handle for both hands. It is four euros cheaper since the fine rose is left out.',
     'Garden', 'Knurr', 'zinc grey', '9 l', 42.00, 6, true),
    (1505, 'GRD-8020-BLK', 'secateurs-thorn-black-21-cm', 'Secateurs Thorn',
     'Bypass blades of hardened carbon steel cut up to 22 mm of living wood cleanly. Spring, bolt and both blades can be bought singly. Left hand or right hand, the catch sits in the middle. 225 g.',
     'Garden', 'Knurr', 'black', '21 cm', 39.00, 23, true),
    (1506, 'GRD-8030-SED', 'seed-box-cottage-12-packets', 'Seed Box Cottage',
     'Open-pollinated seed in twelve paper packets, among them marigold, chard, dill, a runner bean and a tomato that ripens in the north. Sowing calendar on the inside of the lid. Harvest your own seed for the following year. Germination guaranteed for two seasons.',
     'Garden', 'Lummerhof', null, '12 packets', 24.50, 17, true),
    (1507, 'GRD-8040-TER', 'herb-planter-terrasse-terracotta-50-cm', 'Herb Planter Terrasse',
     'Long clay trough, hand-thrown and frost-resistant to minus 10 °C, with three drain holes and feet. Room for basil, thyme and parsley side by side. 6.4 kg empty. A matching saucer is not available at the moment.',
     'Garden', 'Lummerhof', 'terracotta', '50 cm', 33.00, 8, true),
    (1508, 'GRD-8050-WOD', 'bird-feeder-gable-larch-28-cm', 'Bird Feeder Gable',
     'Larch house with a hopper behind acrylic glass that holds 1.5 litres of seed and keeps it dry under a deep roof. Opens at the ridge for cleaning. To be hung or put on a post. Built by a sheltered workshop.',
     'Garden', 'Lummerhof', 'larch', '28 cm', 37.00, 14, true),
    (1509, 'GRD-8060-CMP', 'compost-bin-lattice-larch-400-l', 'Compost Bin Lattice',
     'Slatted crate of untreated larch to be stacked without tools, four hundred litres. Boards at the front lift out one by one, so finished earth can be shovelled from below. 80 × 80 × 70 cm, lasts ten years or so.',
     'Garden', 'Knurr', 'larch', '400 l', 98.00, 0, true),
    (1510, 'GRD-8070-GLV-9', 'garden-gloves-bramble-brown-9', 'Garden Gloves Bramble',
     'Goatskin palm with a long cuff of cow split against roses and blackberries. Soft enough to feel a seedling. Size 9 for medium to large hands. Wash lukewarm with curd soap, stretch while drying.',
     'Garden', 'Knurr', 'brown', '9', 23.00, 30, true),
    (1511, 'GRD-8071-GLV-7', 'garden-gloves-bramble-brown-7', 'Garden Gloves Bramble',
     'Size 7, for smaller hands. Forearm protection reaches almost to the elbow, the palm is supple goatskin. They turn thorns but not nettle hairs at the seams. Dry slowly in the shade.',
     'Garden', 'Knurr', 'brown', '7', 23.00, 12, true);

-- Bottles & Flasks
insert into public.shop_product
    (id, sku, slug, name, description, category, brand, colour, size, price, stock, is_active)
values
    (1601, 'BTL-9001-BLU', 'steel-bottle-otter-blue-0-75-l', 'Steel Bottle Otter',
     'Single-walled stainless steel, 165 g, without any lining to flake off. The wide mouth admits ice cubes and a brush. It is not insulated: put no boiling tea in it unless you wear gloves. Dishwasher safe without the lid.',
     'Bottles & Flasks', 'Murrelet', 'blue', '0.75 l', 29.00, 38, true),
    (1602, 'BTL-9002-GRN', 'steel-bottle-otter-green-0-75-l', 'Steel Bottle Otter',
     'Reed green, powder-coated for grip, 750 ml. The loop in the lid carries the full bottle on a carabiner. Plain steel on the inside, so it keeps no taste of yesterday''s juice. Not suited for fizzy drinks under pressure.',
     'Bottles & Flasks', 'Murrelet', 'green', '0.75 l', 29.00, 14, true),
    (1603, 'BTL-9003-BLU', 'steel-bottle-otter-blue-1-0-l', 'Steel Bottle Otter',
     'The one-litre size in blue, 205 g, with the same wide neck and loop lid. Fits side pockets of rucksacks but not every bicycle cage. Single wall, unlined, made for cold water.',
     'Bottles & Flasks', 'Murrelet', 'blue', '1.0 l', 34.00, 0, true),
    (1604, 'BTL-9010-BLK', 'vacuum-flask-fjord-black-1-0-l', 'Vacuum Flask Fjord',
     'Vacuum between two walls of steel keeps tea above 60 °C for 24 hours and ice for two days. The stopper pours through a groove without being taken out, the cap is a mug. 590 g. Dents harm the vacuum, so drop it gently.',
     'Bottles & Flasks', 'Murrelet', 'black', '1.0 l', 49.00, 16, true),
    (1605, 'BTL-9011-BLK', 'vacuum-flask-fjord-mini-black-0-5-l', 'Vacuum Flask Fjord Mini',
     'Half a litre for the coat pocket. Twelve hours hot, a day cold. One cup lid, push-button stopper, 340 g. Soak the stopper in vinegar water once a month and coffee will never turn rancid in it.',
     'Bottles & Flasks', 'Murrelet', 'black', '0.5 l', 36.00, 25, true),
    (1606, 'BTL-9020-CLR', 'soft-flask-sip-clear-0-5-l', 'Soft Flask Sip',
     'Runner''s flask of TPU that shrinks as you drink, so nothing sloshes. Bite valve with lock, neck thread of 28 mm, weight 38 g, free from BPA and PVC. Freeze it dry to keep mould away.',
     'Bottles & Flasks', 'Murrelet', 'clear', '0.5 l', 19.00, 20, true),
    (1607, 'BTL-9021-CLR', 'bladder-2-l-clear-2-0-l', 'Bladder 2 l',
     'Drinking reservoir with a slide opening across the full width, for easy filling and drying. Insulated hose of 95 cm with a magnetic clip, shut-off at the bite valve. Fits all our rucksacks with a bladder sleeve. 170 g.',
     'Bottles & Flasks', 'Murrelet', 'clear', '2.0 l', 37.00, 18, true),
    (1608, 'BTL-9030-PNK', 'kids-bottle-puffin-pink-0-4-l', 'Kids Bottle Puffin',
     'Leak-proof drinking bottle with a straw that folds away, decorated with puffins on a cliff. Stainless steel, insulated, 230 g. All parts of the lid can be ordered again. Please no milk for longer than two hours.',
     'Bottles & Flasks', 'Bimbelo', 'pink', '0.4 l', 21.00, 27, true),
    (1609, 'BTL-9031-BLU', 'kids-bottle-puffin-blue-0-4-l', 'Kids Bottle Puffin',
     'Puffins again, this time diving through blue water. Keeps lemonade cool for nine hours, closes tightly and opens with one small thumb. Dishwasher on the top rack. Straw brush included.',
     'Bottles & Flasks', 'Bimbelo', 'blue', '0.4 l', 21.00, 3, true);

-- Tools & Repair
insert into public.shop_product
    (id, sku, slug, name, description, category, brand, colour, size, price, stock, is_active)
values
    (1701, 'TOL-1001-STL', 'pocket-knife-finch-steel-olive-8-cm', 'Pocket Knife Finch',
     'Slip-joint folding knife with one 8 cm blade of carbon steel and scales of olive wood. No lock, hence legal to carry in Germany and most neighbouring countries. Carbon steel stains and needs a drop of oil. 82 g.',
     'Tools & Repair', 'Knurr', 'steel/olive', '8 cm', 58.00, 15, true),
    (1702, 'TOL-1002-STL', 'multitool-weaver-steel', 'Multitool Weaver',
     'Fourteen functions around a pair of spring-loaded pliers: wire cutter, saw, scissors, bit driver and a bottle opener that gets the most use. Both blades lock. 225 g, with a belt pouch of canvas. Spare parts for twenty years.',
     'Tools & Repair', 'Knurr', 'steel', null, 84.00, 7, true),
    (1703, 'TOL-1010-HAT', 'hatchet-splinter-hickory-38-cm', 'Hatchet Splinter',
     'Small axe with a hand-forged head of 600 g and a curved hickory handle. Splits kindling, trims branches, sits well in a rucksack with its leather mask on. Shaving-sharp on delivery. For adults only.',
     'Tools & Repair', 'Knurr', 'hickory', '38 cm', 72.00, 9, true),
    (1704, 'TOL-1020-SAW', 'folding-saw-roebuck-orange-21-cm', 'Folding Saw Roebuck',
     'Pull-stroke blade with triple-ground teeth, which goes through wrist-thick ash in under a minute. Locks open in two angles and closes into its own handle. 240 g. A bright grip, because saws like to hide in leaves.',
     'Tools & Repair', 'Knurr', 'orange', '21 cm', 43.00, 19, true),
    (1705, 'TOL-1030-TAP', 'repair-tape-gecko-clear-7-6-50-cm', 'Repair Tape Gecko',
     'Self-adhesive film for torn down jackets, tents and mattresses. Cut a round patch, press, done, no heat required. Stays on through washing and frost. Invisible on most fabrics, waterproof, and easy to carry flat in a wallet.',
     'Tools & Repair', 'Murrelet', 'clear', '7.6 × 50 cm', 9.90, 65, true),
    (1706, 'TOL-1031-SEW', 'sewing-kit-field-olive', 'Sewing Kit Field',
     'Needles in three thicknesses, waxed thread in four colours, a thimble, safety pins and buttons, rolled up in canvas of 75 g altogether. Two curved needles are meant for rucksacks and shoes. Good company on long train journeys too.',
     'Tools & Repair', 'Hollin & Rook', 'olive', null, 17.00, 26, true),
    (1707, 'TOL-1040-COR', 'paracord-30-black-30-m', 'Paracord 30',
     'Seven-strand nylon cord of 4 mm, breaking strength 250 kg. For clothes lines, tarps, bootlaces in an emergency. Not for climbing or for securing persons. Melt the cut ends with a lighter so they do not fray.',
     'Tools & Repair', 'Tarnholt', 'black', '30 m', 12.90, 40, true),
    (1708, 'TOL-1050-FIR', 'fire-steel-spark-9-cm', 'Fire Steel Spark',
     'Ferrocerium rod good for about 8,000 strikes, with a scraper that has a tiny ruler. Works when wet, at altitude and with cold fingers. Shave some birch bark, hold low, pull back the rod rather than pushing the scraper.',
     'Tools & Repair', 'Knurr', 'steel', '9 cm', 18.50, 34, true),
    (1709, 'TOL-1060-KIT', 'first-aid-pouch-red-small', 'First Aid Pouch',
     'Thirty-two parts for cuts, blisters and sprains in a roll-top bag: dressings, bandage, tweezers, tick card, gloves and rescue blanket. It contains no medicines. Check the expiry dates once a year, refills are sold as a set.',
     'Tools & Repair', 'Murrelet', 'red', 'small', 31.00, 22, true),
    (1710, 'TOL-1061-KIT', 'first-aid-pouch-refill', 'First Aid Pouch Refill',
     'All consumables of the red pouch in one paper envelope: plasters, sterile pads, blister cushions, gloves. Sterile for five years from packing. The tweezers, scissors and rescue blanket are not part of this set.',
     'Tools & Repair', 'Murrelet', null, null, 13.00, 16, true),
    (1711, 'TOL-1070-COM', 'compass-ostwind-clear', 'Compass Ostwind',
     'Baseplate compass with a liquid-damped needle, a sighting mirror and scales for 1:25,000 and 1:50,000. The declination is adjusted with a small key on the lanyard. Needs no battery, no reception and no update. 68 g.',
     'Tools & Repair', 'Murrelet', 'clear', null, 36.00, 10, true),
    (1712, 'TOL-1080-WIT', 'whittling-set-beech-3-pieces', 'Whittling Set',
     'A sloyd knife, a hook knife for spoons and a leather strop with paste. Blades of laminated steel that take a very fine edge. A blank of lime wood and a booklet show the first spoon step by step. From twelve years with supervision.',
     'Tools & Repair', 'Knurr', 'beech', '3 pieces', 46.00, 0, true),
    (1713, 'TOL-1090-OLD', 'pocket-knife-finch-classic-steel-horn-8-cm', 'Pocket Knife Finch Classic',
     'Predecessor of the olive-wood folder with scales of cattle horn. We stopped offering it when the material could no longer be traced. One blade of 8 cm, carbon steel, slip joint, 88 g.',
     'Tools & Repair', 'Knurr', 'steel/horn', '8 cm', 64.00, 2, false);

-- Body & Camp Care
insert into public.shop_product
    (id, sku, slug, name, description, category, brand, colour, size, price, stock, is_active)
values
    (1801, 'CAR-3001-SOA', 'savon-foret-100-g', 'Savon Forêt',
     'Bar soap boiled from olive oil and scented with fir and juniper. One piece cleans hair, body and socks, and is gentle to streams, though you should still use it sixty steps away from the water. Free of palm oil. Paper sleeve.',
     'Body & Camp Care', 'Saltmarrow', null, '100 g', 7.50, 54, true),
    (1802, 'CAR-3002-SOA', 'savon-foret-tin-aluminium', 'Savon Forêt Tin',
     'Vented tin with a sieve insert in which a 100 g bar dries instead of melting away. Rubber band round the lid for travel. 46 g. The soap itself must be bought separately.',
     'Body & Camp Care', 'Saltmarrow', 'aluminium', null, 5.50, 33, true),
    (1803, 'CAR-3010-SUN', 'sun-cream-mineral-30-75-ml', 'Sun Cream Mineral 30',
     'Zinc-based cream with factor 30 for face and arms, unscented and without microplastic. It leaves a slight white veil, which tells you where you have been. Water-resistant for forty minutes. Apply again after swimming.',
     'Body & Camp Care', 'Saltmarrow', null, '75 ml', 16.90, 0, true),
    (1804, 'CAR-3020-MOS', 'midge-balm-40-ml', 'Midge Balm',
     'Push-up stick with lemon eucalyptus that spoils the appetite of midges and mosquitoes for about five hours. Not for children under three and keep it away from the eyes. Smells like a citrus grove after a thunderstorm.',
     'Body & Camp Care', 'Saltmarrow', null, '40 ml', 13.90, 28, true),
    (1805, 'CAR-3030-PRF', 'spray-on-proofing-300-ml', 'Spray-On Proofing',
     'Restores the water-repellent finish of shells and tents when drops no longer bead. Pump bottle without propellant and without PFAS. Spray onto the clean damp garment, wait three minutes, wipe, let dry. Enough for four jackets.',
     'Body & Camp Care', 'Ostrel', null, '300 ml', 15.90, 37, true),
    (1806, 'CAR-3031-WSH', 'down-wash-250-ml', 'Down Wash',
     'Mild liquid detergent for sleeping bags and jackets with feather filling, keeping the natural grease in the plume. Use one capful per kilogram of laundry and rinse twice. Suitable for wool too and lightly scented with orange.',
     'Body & Camp Care', 'Ostrel', null, '250 ml', 11.50, 29, true),
    (1807, 'CAR-3040-TOW', 'travel-towel-swift-teal-120-60-cm', 'Travel Towel Swift',
     'Microfibre cloth that takes up four times its weight and is dry again in an hour on the outside of your pack. 140 g in a mesh case. Feels like chamois leather, not like terry. Wash with no softener.',
     'Body & Camp Care', 'Murrelet', 'teal', '120 × 60 cm', 25.00, 31, true),
    (1808, 'CAR-3050-SHO', 'camp-shower-cascade-black-10-l', 'Camp Shower Cascade',
     'Black ten-litre bag to be hung in the sun: after three hours the water is pleasantly warm. Hose with a tap and a rose the size of a sunflower. 330 g. Never hang it above anyone''s head on a thin branch.',
     'Body & Camp Care', 'Lummerhof', 'black', '10 l', 28.00, 13, true),
    (1809, 'CAR-3060-BRU', 'bamboo-toothbrush-set-natural-set-of-4', 'Bamboo Toothbrush Set',
     'Four brushes with medium bristles made from castor oil and handles of bamboo, each marked with one to four notches so that nobody confuses them. Pull out the bristles before composting the rest. Plastic-free carton.',
     'Body & Camp Care', 'Saltmarrow', 'natural', 'set of 4', 9.90, 47, true),
    (1810, 'CAR-3070-LIP', 'lip-balm-bergwind-5-g', 'Lip Balm Bergwind',
     'Shea butter, beeswax and sea buckthorn in a cardboard tube, against chapped lips on ridges and in the office. No fragrance. Contains no sun protection filter, so combine it with a hat.',
     'Body & Camp Care', 'Saltmarrow', null, '5 g', 4.90, 76, true);

-- Frequent questions
insert into public.shop_faq
    (id, question, answer, topic)
values
    (1, 'How much does delivery cost?',
     'Within Germany a parcel costs 4.90 EUR and nothing at all from an order value of 60 EUR. Austria and the Benelux countries are 8.90 EUR, the rest of the EU 12.90 EUR. Bulky goods such as the twenty-person tent carry a surcharge of 25 EUR.',
     'shipping'),
    (2, 'How long will my parcel be on its way?',
     'Orders placed before 2 p.m. on a working day leave our warehouse the same afternoon. In Germany they arrive after one to two working days, elsewhere in the EU after three to six. You get a tracking link by e-mail as soon as the carrier has scanned the label.',
     'shipping'),
    (3, 'Do you deliver to Switzerland or the United Kingdom?',
     'At present we do not. We ship to all member states of the European Union and to Norway. Customs duties for Norway are paid by the recipient.',
     'shipping'),
    (4, 'Can I have my order sent to a pick-up point?',
     'Yes. Choose a pick-up point or a parcel locker on the delivery page of the checkout. Goods are kept there for seven days before they travel back to us.',
     'shipping'),
    (5, 'Can I change or cancel an order after I have paid?',
     'As long as the status says "received", use the cancel button in your account. Once it says "packing" we can no longer stop it, but you may refuse the parcel at the door or send it back free of charge.',
     'orders'),
    (6, 'I ordered the wrong size. What now?',
     'Open the order in your account, choose "exchange" and pick the size you need. We reserve it for ten days and send it out the moment your parcel reaches us. The return label and the second delivery are both free within Germany.',
     'orders'),
    (7, 'Is it possible to order without creating an account?',
     'Yes, guest checkout needs only an address and an e-mail. The exchange function and the order history are reserved for accounts, though.',
     'orders'),
    (8, 'An item is sold out. When will it be back?',
     'Press the bell beside the size selector and leave your e-mail, then you will hear from us once. Most goods return within four to eight weeks. If we know for certain that something will never come back, the page says so.',
     'orders'),
    (9, 'Which means of payment do you accept?',
     'Credit and debit cards, bank transfer in advance, direct debit for customers from Germany and Austria, and purchase on invoice from the second order on. Cash on delivery is not offered.',
     'payment'),
    (10, 'When is my card charged?',
     'We reserve the amount at the time of the order and collect it when the parcel leaves the warehouse. If you cancel in between, the reservation expires by itself within seven days.',
     'payment'),
    (11, 'Can I get an invoice with VAT shown for my company?',
     'Enter the company name and VAT number at the checkout and the PDF invoice arrives together with the dispatch note. For deliveries to another EU country with a valid number we invoice without VAT.',
     'payment'),
    (12, 'Do gift cards expire?',
     'Our gift cards are valid for three full years, counted from the end of the year in which they were bought. The balance can be spent in several steps.',
     'gift cards'),
    (13, 'How do I wash a down jacket or a down sleeping bag?',
     'Close all zips, wash at 30 °C with a special detergent for feathers and rinse twice. Dry at low heat with two tennis balls until you no longer feel any lumps, which may take three hours. Bags for winter use should go to a professional cleaner.',
     'care'),
    (14, 'My rain jacket soaks through. Is it broken?',
     'Usually not. The outer fabric has lost its finish, so water spreads instead of forming beads. Wash it, tumble it for twenty minutes at low heat, and apply a proofing spray if that alone does not help.',
     'care'),
    (15, 'How do I look after cast iron?',
     'Clean it with hot water and a brush, dry it over the flame and rub in a thin film of vegetable oil. Never leave it to soak. Rust can be scrubbed off with steel wool, after that bake the oiled pan at 220 °C for an hour.',
     'care'),
    (16, 'Can merino wool go into the washing machine?',
     'Yes, in the wool programme at 30 °C with wool detergent. Turn it inside out, do not use softener, and dry it lying flat. Often a night on the balcony is enough to freshen it up.',
     'care'),
    (17, 'How do I find my boot size?',
     'Measure your foot in the evening while standing, add 12 mm, and compare with the table on the product page. For steep descents a thumb''s width should be free in front of the longest toe. When between two sizes, take the larger one.',
     'sizes'),
    (18, 'Which rucksack volume is right for me?',
     'About 20 litres will do for a day, 35 to 50 for several days with huts, and 60 or more if you carry tent and food. The back length matters more than the volume, so have somebody measure from the prominent neck vertebra to the top of the hip bone.',
     'sizes'),
    (19, 'What does the comfort temperature of a sleeping bag mean?',
     'It is the temperature at which a woman who feels cold easily can still sleep relaxed, measured by EN ISO 23537. Someone who sleeps warm can go about five degrees lower. The extreme value only describes survival, please do not plan with it.',
     'sizes'),
    (20, 'What does the water column tell me?',
     'It is the height of water in millimetres that a fabric holds back before three drops come through. From 1,500 mm a fabric counts as waterproof, tent floors should have 5,000 mm because you kneel on them, jackets at least 10,000 mm.',
     'technical'),
    (21, 'Can I take a gas cartridge on a plane?',
     'No. Neither full nor empty cartridges are allowed in hand luggage or in the hold. Buy them at your destination. The stove itself may travel if it is clean and free of smell.',
     'technical'),
    (22, 'Which of your pots work on an induction hob?',
     'Everything made of cast iron or magnetic steel, that is the skillet, both casseroles and the large steel coffee maker. Aluminium and titanium pieces do not.',
     'technical'),
    (23, 'Do you repair things?',
     'Yes. Our workshop replaces zips, tent poles, buckles and boot soles, also on goods you bought elsewhere. An estimate is free, and small jobs cost from 12 EUR. Expect two to three weeks.',
     'service'),
    (24, 'Can I rent a tent before I buy one?',
     'We rent out the two-person and the five-person models from April to October. A weekend costs 35 EUR for the small one and 60 EUR for the large one, and we deduct the fee if you purchase the same model within thirty days.',
     'service'),
    (25, 'Do you have a shop I can visit?',
     'There is a showroom next to the warehouse, open Thursday to Saturday from 10 to 18 o''clock. All tents are pitched there and there is a ramp for trying boots.',
     'service'),
    (26, 'How can I reach a human being?',
     'Call us from Monday to Friday between 9 and 17 o''clock or write to the address on your invoice. We answer letters and e-mails within one working day. The chat is handed over to a colleague whenever you ask for it.',
     'service'),
    (27, 'Are your down products cruelty-free?',
     'All our down is a by-product, never plucked from living birds and never from force-fed ones. Each article carries a number with which you can look up the farm.',
     'sustainability'),
    (28, 'Do you use PFAS in waterproof clothing?',
     'No. Since 2022 every jacket and every tent we sell is treated with a fluorine-free finish. It needs renewing a little more often, roughly after ten washes.',
     'sustainability'),
    (29, 'Do you give a student or club discount?',
     'Schools, scout groups and mountain clubs receive 10 per cent from five pieces of the same article. There is no discount for individual students, but the outlet section is open to everybody.',
     'orders'),
    (30, 'Can you wrap my order as a present?',
     'For 3.50 EUR per parcel we wrap it in printed tissue paper, add a card with your own words, and leave the invoice out of the box. Very large articles cannot be wrapped.',
     'gift cards'),
    (31, 'Where do I find spare parts?',
     'Poles, buckles, valves, seals and lids are listed under "Spare parts" on the page of each article. What is not listed can often be made by the workshop. We keep parts for at least ten years after an article has left the range.',
     'service'),
    (32, 'How do I redeem a voucher code?',
     'Type the code into the field below the basket and press "apply". Only one code per order is accepted, and codes do not work on gift cards, gas and books. Forgot it? It can be credited within fourteen days of the purchase.',
     'payment');

-- Policies
insert into public.shop_policy
    (id, slug, title, body)
values
    (1, 'returns', 'Returns and Refunds',
'You may send back anything you bought from us within 60 days of the day it reached you. You do not need to give a reason. The statutory right of withdrawal of 14 days is contained in this period and is not limited by it.

Please return goods clean and complete. Trying on boots on a carpet, pitching a tent once on a dry lawn or unrolling a sleeping bag is fine. Articles that have been used on tour are taken back as well, but we deduct the loss in value, and we will tell you the amount before we book anything. Hygiene articles such as soap, balm and toothbrushes must be unopened. Coffee can be returned only in sealed bags.

How to do it: open the order in your account, mark the articles, print the label and hand the parcel to the carrier. If you ordered as a guest, use the link in the dispatch e-mail. No printer is required, since the post office accepts a QR code. Returns from Germany and Austria are free of charge. From all other countries you bear the postage of 7.90 EUR, which we subtract from the refund.

Refunds are issued to the same means of payment within five working days of arrival at our warehouse. If you paid by gift card, the balance is restored to that card. Delivery fees of the first shipment are refunded when you return the entire order and you do so within the first 14 days.

Gas cartridges and other dangerous goods must never be sent by parcel post. Call us, we will arrange for collection. Articles made or altered to your wishes, for instance shortened tent poles or engraved knives, cannot be returned unless they are faulty.'),
    (2, 'shipping', 'Shipping and Delivery',
'We ship from a single warehouse with carriers who offset their emissions. Parcels leave Monday to Friday. Whatever is ordered by 2 p.m. goes out on the same day, provided that it is in stock and the payment has been confirmed.

Standard delivery within Germany is 4.90 EUR per order and free from 60 EUR. Express delivery for the next working day costs 14.90 EUR and must be ordered before noon. Austria, Belgium, the Netherlands and Luxembourg: 8.90 EUR, free from 120 EUR. All other EU countries: 12.90 EUR, free from 180 EUR. Norway: 19.90 EUR, without customs duties and import VAT, which are collected by the carrier from the recipient.

Bulky articles, marked with a lorry symbol, are delivered by a forwarding agent to the kerb. The agent telephones beforehand to agree on a day. The surcharge of 25 EUR is charged once per order, no matter how many bulky articles it contains.

If a parcel has not arrived ten days after dispatch, let us know. We start an inquiry with the carrier and, at your choice, send a replacement at once or return your money. You do not have to wait for the outcome of the inquiry. Damage in transit should be reported within seven days together with a photograph of the carton, though your legal rights do not depend on it.

Partial deliveries: when one article is late, we send the rest ahead and you pay nothing extra for the second parcel. We do not deliver to post office boxes, and we cannot deliver knives, hatchets and saws to parcel lockers since the carrier has to check the age of the recipient. For these articles the person at the door must be at least 18 years old.'),
    (3, 'warranty', 'Warranty and Guarantee',
'By law you have two years in which we are liable for faults that were present when the goods were handed over. In addition we grant a voluntary guarantee of five years on everything that carries one of the brands Tarnholt, Ostrel, Murrelet and Quillfoot, and of ten years on Knurr tools. The mechanism of our spice mills is covered for twenty-five years.

The guarantee covers broken seams, delaminating membranes, failing zips, leaking valves and cracked poles. It does not cover wear: soles that have been walked down, faded colours, holes from sparks, moth damage and mould caused by storing wet. Batteries are guaranteed for one year and at least 300 charging cycles.

Our order is always the same. First we try to repair. If this is impossible or would cost more than half of the new price, we replace the article with the same or an equivalent one. If there is none, you get your money back. A replaced article does not start a new guarantee period, it runs on from the original date of purchase.

To claim, send us a photograph of the fault and the order number. A paper receipt is not necessary when you ordered through an account. We answer within three working days and pay for the transport in both directions inside the European Union. The guarantee is tied to the article, so it can be passed on together with it when you sell or give it away.'),
    (4, 'privacy', 'Privacy',
'We collect as little as we can. To fulfil an order we need name, delivery address, e-mail and, for lorries, a telephone number. These are passed to the carrier and the payment provider and to nobody else. We do not sell addresses and we do not lend them.

Order documents have to be kept for ten years under tax law. Everything else disappears earlier: the content of baskets after 30 days, chat transcripts after 90 days, returns photographs after one year. Server logs are shortened by the last part of the network address and deleted after two weeks.

Our pages set one cookie that remembers your basket. Statistics are counted on our own server without cookies and without following you to other sites, so there is no banner to click away. The newsletter is sent only after you have confirmed your address, and each issue contains a link to unsubscribe.

You can look at the data we hold about you, download them in a machine-readable file, correct them or have them erased. All four functions are in the account under "My data". Guests write to us and prove their identity with the order number and the postcode. An erasure is completed within 30 days, and records we have to keep by law are blocked until their term ends. Complaints may be addressed to the data protection authority of your country.'),
    (5, 'payment', 'Payment',
'All prices are in euros and include value added tax. The amount shown on the last page of the checkout is final, there are no fees for any means of payment.

Cards: the sum is reserved when you order and collected on dispatch. When an order leaves in two parcels, each part is collected separately. Bank transfer: please pay within seven days and quote the order number, afterwards the reservation of the goods is released. Direct debit is available to holders of accounts in Germany and Austria, and we announce the day of collection two days in advance.

Purchase on invoice is open to customers who have paid at least one order, up to an open amount of 500 EUR. The invoice is due 30 days after dispatch. The first reminder is free, the second costs 5 EUR. Public schools, universities and municipalities may order on invoice without limit from the start.

Instalments: from 200 EUR you can spread the sum over three or six months without interest. A credit check by our payment partner is necessary for this, and nothing but your name, address and date of birth is transmitted. If the partner declines, the order is not lost, and you can choose another way of paying within 48 hours.'),
    (6, 'gift-cards', 'Gift Cards',
'Gift cards are available for any amount between 10 and 500 EUR. You receive them at once as a PDF, or within three days as a printed card in an envelope of seed paper, for which we charge 1.50 EUR. Digital cards can be scheduled for a date of your choice, for example a birthday, up to one year ahead.

A card is valid until the end of the third calendar year after the year of purchase. It can be used in several steps, and up to five cards can be combined in one order. The remaining balance is printed on every invoice and can be looked up with the card number and the four-digit code under the scratch field.

Gift cards cannot be exchanged for cash, with one exception: when less than 5 EUR remain, we transfer the rest on request. They can be used in the showroom, in the workshop and for rentals as well. Buying another gift card with a gift card is not possible.

Treat the code like money. If a card is lost or stolen, tell us the order number under which it was bought. We block it and issue a new one with the remaining balance. Amounts that have been spent by then cannot be restored.'),
    (7, 'price-match', 'Price Match',
'If you find the very same article cheaper at another dealer, we pay the difference. This holds before the purchase and up to 14 days after it. Send us a link or a photograph of the shelf label through the contact form, and you will usually have a reply on the same working day.

A few conditions apply. Colour and size must be identical, the article must be new and in stock there, and the dealer must have its seat in the European Union. Delivery fees are included in the comparison. Market places with private sellers, auctions, clearance because of closing down and obvious pricing errors are excluded, and so are prices that require a paid membership.

We match a price at most twice per customer and calendar month, and for up to three pieces of an article. The difference is credited to the means of payment you used. Should we lower our own price within 14 days of your order, you need not do anything at all: we refund the difference of our own accord, even if it is just a few cents. Articles from the outlet section are not subject to matching, since they are priced below cost already.'),
    (8, 'recycling', 'Recycling and Take-Back',
'Batteries and rechargeable cells do not belong in household waste. Bring them to the showroom or send up to 2 kg by post in the prepaid envelope, which you can order without charge. The same applies to lamps and small electrical appliances with an edge of less than 25 cm. You need not buy anything in return.

Old sleeping bags and jackets with feather filling are collected throughout the year. The down is washed, sorted and used again, and you receive a voucher of 10 EUR per piece. Worn-out boots are dismantled: rubber is ground for sports floors, leather goes to a maker of insoles. Tents are cut up by a sheltered workshop, which sews shopping bags and stuff sacks from them.

Empty gas cartridges may be handed in at the showroom. Please do not pierce them yourself. Once they are completely empty, they can also be put in the metal collection of your municipality.

Our parcels consist of recycled cardboard and paper tape. There is no plastic in them, apart from the bags in which some makers deliver their textiles, and we collect these and return them to the makers. If you wish, we dispatch in a reusable pouch for a deposit of 4 EUR. Fold it, drop it in any letter box, and the deposit comes back to you within a week.'),
    (9, 'rental', 'Rental Terms',
'From April to October you can rent tents, children''s carriers and winter-proof cooking sets from us. The rental period starts on the day after delivery and ends on the day you hand the parcel to the carrier, so travelling time is never at your expense. Weekends run from Friday to Monday.

The two-person tent costs 35 EUR for a weekend and 80 EUR for a week, the five-person tunnel 60 EUR and 140 EUR. A deposit of 100 EUR is reserved on your card and released after we have checked the equipment, generally within three days. Normal traces of use are part of the business. For lost pegs we charge 1 EUR each, for a broken pole 15 EUR, and for a torn flysheet the actual cost of the repair.

Return everything dry if you can. Should it rain on the last morning, write "wet" on the label and we will unpack it first, there is no penalty for that. For returns that are late without notice, each day costs 10 EUR.

You may cancel free of charge until seven days before the start, later we keep half of the fee. If you buy the same model within 30 days after the rental, the fee is deducted in full from the price.'),
    (10, 'repairs', 'Repair Workshop',
'Most things can be mended, and we like doing it. Our workshop accepts rucksacks, tents, jackets, sleeping bags, boots, stoves and lanterns, no matter where they were bought. Fill in the repair form, enclose it and send the clean article to us. Unwashed pieces are cleaned at a flat rate of 9 EUR before anybody works on them.

You get an estimate within four working days, without obligation and without cost. Typical prices: replacing a zip slider 12 EUR, a full jacket zip 39 EUR, a new pair of soles including the rand 75 EUR, a tent pole segment 14 EUR, a patch on a mattress 10 EUR. Work takes two to three weeks, in May and June up to five, because then the whole country remembers its tent.

If the fault is covered by the guarantee, everything including the transport is free. If the repair turns out to be impossible, we send the article back at our expense or recycle it for you. We give one year of guarantee on our own repairs.

Twice a month there is an open evening in the showroom where you can learn to patch, sew and wax under guidance. Taking part is free, materials are paid by use. Places are limited to twelve, so please register by telephone.'),
    (11, 'age-restricted', 'Knives and Age-Restricted Goods',
'Knives with a blade longer than 6 cm, hatchets and saws are sold only to adults. At the checkout we ask for your date of birth, and the carrier checks an identity document at the door. If nobody aged 18 or over is present, the parcel goes back to us, and the delivery fee is not refunded.

Please mind the law of the place where you carry such tools. In Germany a folding knife without a lock may be carried, one that can be opened with one hand and locks may not, unless there is a recognised purpose such as hunting or a trade. At public festivals, in trains of many regions and in school buildings all knives are prohibited. Rules abroad differ a great deal, and what we write here is a hint and not legal advice.

Whittling tools for children are delivered to the adult who ordered them. We recommend a first knife from the age of seven, with a rounded tip and always under supervision, and we gladly show the safe grips in the showroom. Fuel for burners and gas is likewise handed out to adults only, and at most two cartridges can travel in one parcel.');
