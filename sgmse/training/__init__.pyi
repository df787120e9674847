from .averages.selection import Selection as Selection, select_average as select_average
from .recipe import Recipe as Recipe
from .recipe_files import load_recipe as load_recipe
from .run import train as train
from .state import TrainingState as TrainingState, load_state as load_state
from .validation import Validation as Validation, evaluate as evaluate
