//! The words that fill the slots of the needle families and of the bAbI-like stories.
//!
//! Lists share words where they can: a vocabulary of 2048 tokens has room for about eight hundred
//! whole words, and a word that is one token is copied in one step.

/// Names that "he" refers to.
pub const HE: &[&str] = &[
    "Tom", "Adam", "Peter", "Paul", "Simon", "Oscar", "Victor", "Hugo", "Leo", "Max", "Sam", "Ben",
    "Henry", "James", "Robert", "George", "Frank", "Martin", "Oliver", "Noah", "Lucas", "Felix",
    "Arthur", "David",
];

/// Names that "she" refers to.
pub const SHE: &[&str] = &[
    "Hannah", "Alice", "Anna", "Clara", "Emma", "Grace", "Helen", "Ida", "Jane", "Kate", "Laura",
    "Lucy", "Maria", "Nina", "Nora", "Olga", "Rosa", "Ruth", "Sara", "Sophie", "Vera", "Eva",
    "Julia", "Diana", "Martha",
];

/// People of the bAbI-like stories; disjoint from [`HE`] and [`SHE`].
pub const STORY_PEOPLE: &[&str] = &[
    "Mary", "John", "Sandra", "Daniel", "Bill", "Fred", "Jeff", "Julie", "Emily", "Jason", "Brian",
    "Lily",
];

/// Places of the bAbI-like stories.
pub const STORY_PLACES: &[&str] = &[
    "garden", "kitchen", "office", "bedroom", "bathroom", "hallway", "park", "school", "cinema",
    "cellar", "attic", "garage", "library", "balcony",
];

/// Objects of the bAbI-like stories.
pub const STORY_OBJECTS: &[&str] = &[
    "football", "apple", "milk", "book", "lamp", "hammer", "basket", "letter", "umbrella", "ball",
];

/// Cities.
pub const CITIES: &[&str] = &[
    "Paris",
    "London",
    "Berlin",
    "Rome",
    "Madrid",
    "Vienna",
    "Oslo",
    "Dublin",
    "Prague",
    "Athens",
    "Lisbon",
    "Warsaw",
    "Tokyo",
    "Delhi",
    "Cairo",
    "Boston",
    "Chicago",
    "Denver",
    "Dallas",
    "Lima",
    "Sydney",
    "Geneva",
    "Milan",
    "Venice",
    "Naples",
    "Moscow",
    "Bergen",
    "York",
    "Bristol",
    "Toronto",
    "Havana",
    "Seoul",
    "Riga",
    "Porto",
    "Lyon",
    "Hamburg",
    "Munich",
    "Zurich",
    "San Francisco",
    "New York",
];

/// Places to spend time in, without an article.
pub const PLACES: &[&str] = &[
    "the lake",
    "campus",
    "town",
    "the garden",
    "the park",
    "the library",
    "the kitchen",
    "the forest",
    "the city",
    "the village",
    "the mountains",
    "the desert",
    "the harbour",
    "the museum",
    "the valley",
    "the school",
    "the castle",
    "the market",
    "the hotel",
    "the station",
    "the airport",
    "the office",
    "the cinema",
    "the theatre",
    "the cellar",
    "the attic",
    "spring",
    "summer",
    "autumn",
    "winter",
    "the evening",
    "the morning",
    "Paris",
    "London",
    "Berlin",
    "Rome",
    "Vienna",
    "Lisbon",
    "Oslo",
];

/// What one can do, in the base form.
pub const ACTIVITIES: &[&str] = &[
    "eat a pizza",
    "visit the lake",
    "relax",
    "do nothing",
    "read",
    "swim",
    "sing",
    "dance",
    "paint",
    "draw",
    "cook",
    "run",
    "walk",
    "sleep",
    "write",
    "fish",
    "climb",
    "knit",
    "skate",
    "bake bread",
    "play chess",
    "play football",
    "play cards",
    "play the piano",
    "ride a bike",
    "ride a horse",
    "watch birds",
    "watch films",
    "feed the ducks",
    "eat a sandwich",
    "eat cake",
    "sit in the park",
    "sit in the sun",
    "drink coffee",
    "drink tea",
    "listen to music",
    "take photos",
    "meet friends",
    "visit museums",
    "visit the castle",
    "write letters",
    "read a book",
    "fly a kite",
    "plant trees",
    "pick apples",
    "learn French",
    "count the stars",
    "look at boats",
    "walk along the river",
    "climb the tower",
    "study maps",
    "tell stories",
];

/// What one can do, in the form that ends in -ing.
pub const PASTIMES: &[&str] = &[
    "reading books",
    "reading letters",
    "feeding birds",
    "feeding ducks",
    "watching birds",
    "watching films",
    "watching trains",
    "playing chess",
    "playing football",
    "playing cards",
    "drinking coffee",
    "drinking tea",
    "eating cake",
    "eating apples",
    "writing letters",
    "writing stories",
    "planting trees",
    "learning French",
    "listening to music",
    "running",
    "swimming",
    "singing",
    "dancing",
    "gardening",
    "walking",
    "fishing",
    "cooking",
    "sleeping",
];

/// Times of life or of the year in which one can keep a habit.
pub const OCCASIONS: &[&str] = &[
    "Ph.D. career",
    "winter",
    "summer",
    "autumn",
    "spring",
    "high school",
    "college",
    "old age",
    "childhood",
    "the holidays",
    "the exams",
    "the night",
    "the week",
    "the weekend",
    "a journey",
    "a long flight",
    "a cold winter",
    "a hot summer",
    "office work",
    "military service",
    "pregnancy",
    "retirement",
    "the harvest",
    "the rainy season",
];

/// Habits that are good for health.
pub const HABITS: &[&str] = &[
    "exercise",
    "healthy diet",
    "early sleep",
    "deep sleep",
    "long walks",
    "fresh air",
    "fresh fruit",
    "warm soup",
    "green tea",
    "cold water",
    "hot baths",
    "meditation",
    "yoga",
    "music",
    "swimming",
    "running",
    "reading",
    "dancing",
    "singing",
    "stretching",
    "gardening",
    "regular meals",
    "regular breaks",
    "short breaks",
    "quiet evenings",
    "good company",
    "morning light",
    "deep breathing",
    "less coffee",
    "less sugar",
    "more vegetables",
    "laughter",
];

/// What one starts at some age.
pub const STAGES: &[&str] = &[
    "high school",
    "primary school",
    "college",
    "university",
    "work",
    "piano lessons",
    "chess",
    "football",
    "swimming",
    "military service",
    "cooking school",
    "a new job",
    "a family",
    "a company",
    "a diary",
    "French lessons",
];

/// Number words with their values; ages at which a stage starts.
pub const NUMBERS: &[(&str, u32)] = &[
    ("four", 4),
    ("five", 5),
    ("six", 6),
    ("seven", 7),
    ("eight", 8),
    ("nine", 9),
    ("ten", 10),
    ("eleven", 11),
    ("twelve", 12),
    ("thirteen", 13),
    ("fourteen", 14),
    ("fifteen", 15),
    ("sixteen", 16),
    ("seventeen", 17),
    ("eighteen", 18),
    ("nineteen", 19),
    ("twenty", 20),
    ("thirty", 30),
];

/// Kinds of things of which one has a favourite.
pub const FAVOURITE_THINGS: &[&str] = &[
    "flower", "bird", "animal", "toy", "picture", "present", "symbol", "thing", "subject", "dream",
    "word", "song", "story", "film", "game", "treasure", "tattoo", "stamp",
];

/// Adjectives for things.
pub const ADJECTIVES: &[&str] = &[
    "young", "red", "blue", "green", "yellow", "black", "white", "brown", "grey", "orange",
    "purple", "golden", "silver", "old", "new", "small", "big", "tiny", "huge", "round", "square",
    "heavy", "light", "wooden", "broken", "shiny", "soft", "hard", "warm", "cold", "quiet", "wild",
    "lazy", "brave", "happy", "clever", "strange", "pretty", "empty", "ancient", "modern",
];

/// Colours (paint).
pub const COLOURS: &[&str] = &[
    "red", "blue", "green", "yellow", "black", "white", "brown", "grey", "orange", "purple",
    "golden", "silver", "pink", "violet", "beige", "cream",
];

/// Things that can be kept or given.
pub const OBJECTS: &[&str] = &[
    "bicycle", "lamp", "key", "book", "letter", "ball", "hammer", "basket", "umbrella", "ring",
    "watch", "clock", "mirror", "candle", "camera", "guitar", "violin", "piano", "drum", "cup",
    "plate", "bottle", "knife", "spoon", "blanket", "pillow", "coat", "hat", "scarf", "glove",
    "shoe", "map", "coin", "stamp", "puzzle", "kite", "robot", "box", "bag", "pen", "bell",
    "stone", "flute",
];

/// Animals and plants.
pub const CREATURES: &[&str] = &[
    "horse", "dog", "cat", "tiger", "lion", "bear", "wolf", "fox", "rabbit", "mouse", "elephant",
    "monkey", "eagle", "owl", "duck", "swan", "whale", "dolphin", "shark", "frog", "turtle",
    "snake", "rose", "tulip", "oak", "dragon", "penguin", "camel",
];

/// Containers.
pub const CONTAINERS: &[&str] = &[
    "box", "bag", "basket", "drawer", "cupboard", "chest", "bucket", "barrel", "jar", "case",
    "cabinet", "closet", "safe", "bottle", "oven", "bowl",
];

/// Rooms and buildings that hold containers.
pub const ROOMS: &[&str] = &[
    "kitchen", "office", "bedroom", "bathroom", "hallway", "cellar", "attic", "garage", "library",
    "school", "museum", "castle", "hotel", "station", "church", "tower", "shop", "bakery",
];

/// What a meeting is about.
pub const TOPICS: &[&str] = &[
    "school meals",
    "cold water",
    "old books",
    "green energy",
    "bus stops",
    "music",
    "football",
    "chess",
    "bread",
    "water",
    "history",
    "science",
    "health",
    "traffic",
    "energy",
    "money",
    "art",
    "food",
    "sleep",
    "space",
    "trees",
    "birds",
    "trains",
    "bridges",
    "maps",
    "gardens",
    "schools",
    "books",
    "salt",
    "clocks",
    "rivers",
    "wine",
    "poetry",
    "robots",
    "whales",
];

/// Days of the week.
pub const DAYS: &[&str] =
    &["Monday", "Tuesday", "Wednesday", "Thursday", "Friday", "Saturday", "Sunday"];

/// Dishes.
pub const DISHES: &[&str] = &[
    "soup",
    "cake",
    "pie",
    "stew",
    "salad",
    "pizza",
    "sandwich",
    "curry",
    "bread",
    "sauce",
    "pudding",
    "breakfast",
    "omelette",
    "pasta",
];

/// What dishes are made with.
pub const INGREDIENTS: &[&str] = &[
    "salt",
    "pepper",
    "sugar",
    "honey",
    "butter",
    "cheese",
    "milk",
    "cream",
    "flour",
    "rice",
    "beans",
    "onions",
    "garlic",
    "carrots",
    "potatoes",
    "tomatoes",
    "mushrooms",
    "apples",
    "pears",
    "plums",
    "lemons",
    "cherries",
    "nuts",
    "almonds",
    "ginger",
    "mint",
    "basil",
    "chicken",
    "beef",
    "fish",
    "eggs",
    "olives",
    "wine",
    "corn",
    "spinach",
    "chocolate",
];

/// Buildings with a door.
pub const BUILDINGS: &[&str] = &[
    "library",
    "school",
    "museum",
    "castle",
    "hotel",
    "station",
    "church",
    "tower",
    "shop",
    "bakery",
    "theatre",
    "cinema",
    "hospital",
    "bank",
    "factory",
    "prison",
    "palace",
    "temple",
    "market",
    "university",
];

/// Means of transport.
pub const VEHICLES: &[&str] = &[
    "train",
    "bus",
    "car",
    "plane",
    "boat",
    "ship",
    "bike",
    "horse",
    "taxi",
    "truck",
    "balloon",
    "ferry",
    "tram",
    "helicopter",
    "camel",
    "sledge",
];
