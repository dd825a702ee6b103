"""The colours of figures and of MLflow's view, which can be told apart with any colour vision."""

# Okabe and Ito's
BLACK, GREY, BLUE, VERMILION, GREEN = "#000000", "#999999", "#0072B2", "#D55E00", "#009E73"
SKY_BLUE, ORANGE, PURPLE, YELLOW = "#56B4E9", "#E69F00", "#CC79A7", "#F0E442"
# Paul Tol's muted ones, where there are more
INDIGO, OLIVE, ROSE, WINE = "#332288", "#999933", "#CC6677", "#882255"
