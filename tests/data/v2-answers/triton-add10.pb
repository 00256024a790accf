
add10_11*
OUTPUTFP322š™!Aš™!Aš™!Aš™!A